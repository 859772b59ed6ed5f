from collections.abc import Callable
from pathlib import Path

import pytest

from export.config import TensorRtConfig
from export.tensorrt.build import build_engine
from runtime.backends.tensorrt.library import EngineLibrary
from runtime.backends.tensorrt.plan import HEADER, require_loadable
from runtime.bundle.manifest import EngineInfo
from runtime.errors import BackendError

MakeModel = Callable[..., Path]


@pytest.fixture
def built(rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path) -> tuple[Path, EngineInfo]:
    path = tmp_path / "fp32.engine"
    return path, build_engine(make_model("fp32"), path, "fp32", TensorRtConfig())


@pytest.mark.tensorrt
def test_engine_built_here_is_loadable_here(built: tuple[Path, EngineInfo]) -> None:
    require_loadable(*built)


@pytest.mark.tensorrt
def test_engine_of_another_version_is_refused_with_both_versions(
    built: tuple[Path, EngineInfo], rtx: EngineLibrary
) -> None:
    path, described = built
    content = bytearray(path.read_bytes())
    content[24:28] = (1, 6, 0, 9)
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"by TensorRT-RTX 1\.6\.0\.9, the manifest says by TensorRT-RTX 1\.7"):
        require_loadable(path, described)
    with pytest.raises(
        BackendError, match=rf"TensorRT-RTX 1\.6\.0\.9 and loads in no other version, and {rtx.title} is installed"
    ):
        require_loadable(path, described.model_copy(update={"version": "1.6.0.9"}))


@pytest.mark.tensorrt
def test_engine_of_a_library_that_is_not_installed_names_it(
    built: tuple[Path, EngineInfo], rtx: EngineLibrary, tmp_path: Path
) -> None:
    (tmp_path / "a.engine").write_bytes(HEADER.pack(b"ftrt", 0, 64, 10, 16, 1, 11).ljust(64, b"\0"))
    message = (
        rf"^a\.engine was built by TensorRT 10\.16\.1\.11, and TensorRT cannot be imported .*; {rtx.title}, which is"
    )
    info = built[1].model_copy(update={"library": "tensorrt", "version": "10.16.1.11"})
    with pytest.raises(BackendError, match=message):
        require_loadable(tmp_path / "a.engine", info)
