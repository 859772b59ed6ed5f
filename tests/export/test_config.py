from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from export.config import Budgets, ExportConfig
from export.make import needed_forms
from runtime.config import load_config

ROOT = Path(__file__).parents[2]
MakeConfig = Callable[..., ExportConfig]


@pytest.mark.parametrize("run_file", ["streets.yaml", "camvid_day_to_dusk.yaml"])
def test_run_files_of_the_project_have_a_valid_export_section(run_file: str) -> None:
    config = load_config(ROOT / "configs" / run_file, "export", ExportConfig)
    assert "fp32.onnx" in config.artefacts


def test_forms_come_after_those_they_are_made_from() -> None:
    assert needed_forms(["int8.engine", "fp32.pt2"]) == ("fp32.onnx", "int8-gpu.onnx", "fp32.pt2", "int8.engine")
    assert needed_forms(["int8-cpu-logits.onnx"]) == ("fp32.onnx", "int8-cpu.onnx", "int8-cpu-logits.onnx")


def test_same_artefact_twice_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match="each at most once"):
        make_config(checkpoint="a", artefacts=["fp32.onnx", "fp32.onnx"])


def test_part_of_a_budget_leaves_the_rest_as_it_is(make_config: MakeConfig) -> None:
    budgets = make_config(checkpoint="a", budgets={"int8": {"max_miou_drop": 1.5}}).budgets
    assert budgets.of("int8").max_miou_drop == 1.5
    assert budgets.of("int8").min_label_agreement == Budgets().int8.min_label_agreement
    assert budgets.of("fp16") == Budgets().fp16


def test_more_golden_than_gate_frames_are_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match="num_golden_frames=3 must not exceed num_gate_frames=2"):
        make_config(checkpoint="a", num_gate_frames=2, num_golden_frames=3)
    assert make_config(checkpoint="a", num_gate_frames=2, num_golden_frames=2).num_golden_frames == 2


def test_capability_that_is_no_version_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match=r"tensorrt\.compute_capabilities"):
        make_config(checkpoint="a", tensorrt={"compute_capabilities": ["sm86"]})
