from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from export.config import ExportConfig
from runtime.config import load_config

ROOT = Path(__file__).parents[2]
MakeConfig = Callable[..., ExportConfig]


@pytest.mark.parametrize("run_file", ["streets.yaml", "camvid_day_to_dusk.yaml"])
def test_run_files_of_the_project_have_a_valid_export_section(run_file: str) -> None:
    config = load_config(ROOT / "configs" / run_file, "export", ExportConfig)
    assert "onnx" in config.artefacts


def test_tensorrt_without_the_onnx_it_is_built_from_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match="tensorrt is built from onnx; add onnx"):
        make_config(checkpoint="a", artefacts=["tensorrt"])


def test_same_artefact_twice_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match="each at most once"):
        make_config(checkpoint="a", artefacts=["onnx", "onnx"])


def test_more_golden_than_parity_frames_are_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match="num_golden_frames=3 must not exceed num_parity_frames=2"):
        make_config(checkpoint="a", num_parity_frames=2, num_golden_frames=3)
    assert make_config(checkpoint="a", num_parity_frames=2, num_golden_frames=2).num_golden_frames == 2


def test_capability_that_is_no_version_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match=r"tensorrt\.compute_capabilities"):
        make_config(checkpoint="a", tensorrt={"compute_capabilities": ["sm86"]})
