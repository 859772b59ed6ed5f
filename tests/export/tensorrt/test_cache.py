import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.config import TensorRtConfig
from export.tensorrt.build import build_engine
from export.tensorrt.cache import attach_timings, keep_timings
from runtime.backends.tensorrt.library import EngineLibrary
from runtime.bundle.manifest import EngineInfo

pytestmark = pytest.mark.tensorrt
MakeModel = Callable[..., Path]
# TensorRT-RTX keeps the functions and says that they do nothing.
no_ops = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")


class Builds:
    """Builds the same artefact again and again, and keeps what was said."""

    def __init__(self, folder: Path, model: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.cache, self.path = folder / "cache", folder / "net.engine"
        self._model, self._capture = model, capture
        self.said = ""

    def build(self, model: Path | None = None, precision: Any = "fp32", **values: Any) -> EngineInfo:
        self.path.unlink(missing_ok=True)
        config = TensorRtConfig.model_validate({"cache": self.cache, **values})
        info = build_engine(model or self._model, self.path, precision, config)
        self.said = self._capture.readouterr().err
        return info

    @property
    def has_built(self) -> bool:
        return "building net.engine: " in self.said


@pytest.fixture
def builds(rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Builds:
    return Builds(tmp_path, make_model("net"), capsys)


def test_engine_of_the_same_fingerprint_is_copied(builds: Builds) -> None:
    first = builds.build()
    assert builds.has_built
    content = builds.path.read_bytes()
    assert builds.build() == first
    assert not builds.has_built
    assert "net.engine: nothing changed since it was built; copied from" in builds.said
    assert builds.path.read_bytes() == content


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"workspace_mib": 64}, "because of workspace_mib (2048, now 64)"),
        ({"compute_capabilities": ["8.6"]}, "because of the compute capabilities (8.0 8.6 8.9 12.0, now 8.6)"),
    ],
)
def test_other_settings_build_anew_and_are_named(builds: Builds, values: dict[str, Any], sentence: str) -> None:
    first = builds.build()
    assert builds.build(**values).fingerprint != first.fingerprint
    assert builds.has_built
    assert sentence in builds.said


def test_other_model_is_built_anew_and_both_are_kept(builds: Builds, make_model: MakeModel) -> None:
    first = builds.build()
    half = make_model("half", "fp16")
    assert builds.build(half, "fp16").fingerprint != first.fingerprint
    assert f"because of the ONNX file ({first.onnx_sha256[:12]}..., now " in builds.said
    assert "the precision (fp32, now fp16)" in builds.said
    builds.build()
    assert not builds.has_built


def test_altered_engine_is_not_used(builds: Builds) -> None:
    builds.build()
    content = builds.path.read_bytes()
    (engine,) = builds.cache.glob("*.engine")
    engine.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    builds.build()
    assert builds.has_built
    assert "was altered since it was built" in builds.said
    assert builds.path.read_bytes() == content == engine.read_bytes()


def test_lost_engine_and_damaged_record_build_anew(builds: Builds) -> None:
    builds.build()
    (engine,), (record,) = builds.cache.glob("*.engine"), builds.cache.glob("*.json")
    engine.unlink()
    builds.build()
    assert "cannot be read (No such file or directory); building net.engine anew" in builds.said
    record.write_text("{")
    builds.build()
    assert builds.has_built
    assert f"{record} is damaged" in builds.said


def test_record_states_all_that_the_fingerprint_covers(builds: Builds) -> None:
    info = builds.build()
    (record,) = builds.cache.glob("*.json")
    parts = json.loads(record.read_text())["parts"]
    assert {*parts} == {*EngineInfo.model_fields} - {"fingerprint"} | {"precision"}
    assert parts["onnx_sha256"] == info.onnx_sha256


@no_ops
def test_timings_are_kept_and_taken_over(
    rtx: EngineLibrary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the functions of TensorRT-RTX, which are TensorRT's own and keep nothing."""
    library = EngineLibrary("tensorrt", rtx.module)
    settings = rtx.module.Builder(rtx.logger()).create_builder_config()
    assert attach_timings(library, settings, tmp_path, "8.6") is not None
    keep_timings(library, settings, tmp_path, "8.6")
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"tensorrt-{rtx.version}-sm86.timings"
    assert kept.stat().st_size > 0
    assert attach_timings(library, settings, tmp_path, "8.6") is not None
    assert capsys.readouterr().err == ""


def test_tensorrt_rtx_has_no_timings(rtx: EngineLibrary, tmp_path: Path) -> None:
    settings = rtx.module.Builder(rtx.logger()).create_builder_config()
    assert attach_timings(rtx, settings, tmp_path, "8.6") is None
    keep_timings(rtx, settings, tmp_path, "8.6")
    assert list(tmp_path.iterdir()) == []
