import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.backends.tensorrt.library import find_engine_library, open_engine_library
from runtime.backends.tensorrt.plan import HEADER_BYTES, Plan, read_plan, require_loadable, why_not_loadable
from runtime.bundle.manifest import EngineInfo
from runtime.errors import BackendError


def info(library: str = "tensorrt", version: str = "10.16.1.11", **values: Any) -> EngineInfo:
    return EngineInfo.model_validate(
        {
            "library": library,
            "version": version,
            "compute_capabilities": ["8.6"],
            "onnx_sha256": "0" * 64,
            "profile": {"frame": [1, 16, 24, 3]},
            "workspace_mib": 1,
            "fingerprint": "0" * 64,
            **values,
        }
    )


def header(*, tag: int = 0x74727466, layout: int = 0, length: int = 64, version: tuple[int, ...]) -> bytes:
    return struct.pack("<IIQQ4B", tag, layout, 2, length, *version).ljust(length, b"\0")


def test_header_of_tensorrt_names_its_version(tmp_path: Path) -> None:
    (tmp_path / "a.engine").write_bytes(header(version=(10, 16, 1, 11)))
    assert read_plan(tmp_path / "a.engine") == Plan("tensorrt", (10, 16, 1, 11))
    assert read_plan(tmp_path / "a.engine").title == "TensorRT 10.16.1.11"
    assert HEADER_BYTES == 28


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an engine: it starts with nothing"),
        (b"ONNX" * 20, "is not an engine: it starts with 4f 4e 4e 58, TensorRT's start with 66 74 72 74 or 76 74 72"),
        (header(version=(10, 16, 1, 11))[:27], "is not an engine"),
        (header(layout=1, version=(12, 0, 0, 1)), "is an engine of layout 1, and this version knows layout 0 alone"),
        (header(tag=0x74727476, length=64, version=(1, 7, 1, 116))[:63], "says that it has 64 bytes, and has 63"),
    ],
)
def test_what_is_no_whole_engine_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.engine").write_bytes(content)
    with pytest.raises(BackendError, match=rf"^a\.engine .*{message}"):
        read_plan(tmp_path / "a.engine")


@pytest.mark.parametrize(
    ("installed", "is_compatible", "problem"),
    [
        ("10.16.1.11", False, None),
        # Packages of Jetson do not name the build.
        ("10.16.1", False, None),
        (
            "11.4.0.106",
            False,
            "was built by TensorRT 10.16.1.11 and loads in no other version, and TensorRT 11.4.0.106",
        ),
        ("11.4.0.106", True, None),
        (
            "10.3.0",
            True,
            "was built by TensorRT 10.16.1.11 and loads in that version or a later one, and TensorRT 10.3",
        ),
    ],
)
def test_engine_loads_in_its_version_and_if_compatible_in_later_ones(
    installed: str, is_compatible: bool, problem: str | None
) -> None:
    plan = Plan("tensorrt", (10, 16, 1, 11))
    found = why_not_loadable(plan, info(version_compatible=is_compatible), installed)
    assert found is None if problem is None else found is not None and found.startswith(problem)


@pytest.mark.parametrize("stated", [info("tensorrt_rtx", "1.7.1.116"), info(version="10.16.0.1")])
def test_engine_that_is_not_the_one_described_is_refused(stated: EngineInfo) -> None:
    found = why_not_loadable(Plan("tensorrt", (10, 16, 1, 11)), stated, "10.16.1.11")
    assert found is not None
    assert found.startswith("was built by TensorRT 10.16.1.11, the manifest says by TensorRT")


def test_engine_of_a_library_that_is_not_installed_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", None)
    (tmp_path / "a.engine").write_bytes(header(version=(10, 16, 1, 11)))
    message = (
        r"^a\.engine was built by TensorRT 10\.16\.1\.11, and TensorRT cannot be imported .*; neither is any other"
    )
    with pytest.raises(BackendError, match=message):
        require_loadable(tmp_path / "a.engine", info())


def test_missing_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # The documented way to make an import fail.
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", None)
    with pytest.raises(BackendError, match=r"pip install 'iapc\[tensorrt\]'.*requirements-tensorrt-rtx\.txt"):
        find_engine_library()
    with pytest.raises(BackendError, match=r"TensorRT cannot be imported .*pip install 'iapc\[tensorrt\]'"):
        open_engine_library("tensorrt")
    with pytest.raises(BackendError, match=r"TensorRT-RTX cannot be imported .*requirements-tensorrt-rtx\.txt"):
        open_engine_library("tensorrt_rtx")
