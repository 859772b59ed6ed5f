"""INT8 by calibration, and by training where the config wants that."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from export.config import ExportConfig
from export.frame_sets import FrameSets
from export.frozen import Frozen, freeze
from export.gates.recalls import ClassRecall
from export.onnx_from_torch import onnx_from_torch
from export.quantization import integers
from export.quantization.choose import Calibration, Int8Choice, calibrate, choose_int8
from export.quantization.integers import choose_integers
from runtime.config import validated
from runtime.errors import ConfigError
from training.config import TrainingConfig

HW = (64, 96)
NEVER_MET = {"int8": {"min_label_agreement": 1.0, "max_logits_error": 0.0}}
CLASSES_KEPT = {
    "int8": {"min_label_agreement": 0.0, "max_logits_error": 9.0, "min_class_recall": 0.01, "min_rare_recall": 0.01}
}
ALWAYS_MET = {
    "int8": {"min_label_agreement": 0.0, "max_logits_error": 9.0, "min_class_recall": 0.0, "min_rare_recall": 0.0}
}
MakeNetwork = Callable[..., Path]
MakeConfig = Callable[..., ExportConfig]
Choose = Callable[..., Int8Choice]


VALUES: dict[str, Any] = {
    "checkpoint": "a",
    "bundle": "b",
    "frames": {"layout": "folder", "root": "c"},
    "int8": {"num_calibration_frames": 4, "num_choice_frames": 2, "range_method": "minmax", "max_float_layers": 0},
}


@dataclass(frozen=True)
class Given:
    """What every INT8 form here is made from."""

    checkpoint: Path
    frozen: Frozen
    model: Path
    calibration: Calibration


@pytest.fixture(scope="module")
def given(
    make_network: MakeNetwork, make_config: MakeConfig, sets: FrameSets, tmp_path_factory: pytest.TempPathFactory
) -> Given:
    checkpoint = make_network()
    config = make_config(checkpoint=checkpoint, int8=VALUES["int8"])
    frozen = freeze(config, HW)
    model = tmp_path_factory.mktemp("given") / "fp32.onnx"
    onnx_from_torch(frozen.network, model, {})
    return Given(checkpoint, frozen, model, calibrate(model, sets, config.int8, num_classes=19))


@pytest.fixture
def choose(given: Given, make_config: MakeConfig, sets: FrameSets, tmp_path: Path) -> Choose:
    """Makes `int8.onnx` in a folder; arguments go into `int8.aware`."""

    def run(*, budgets: Any, training: TrainingConfig | None = None, **aware: Any) -> Int8Choice:
        return choose_integers(
            given.model,
            tmp_path / "int8.onnx",
            scheme="u8s8",
            frozen=given.frozen,
            facts={"precision": "int8"},
            sets=sets,
            config=make_config(checkpoint=given.checkpoint, budgets=budgets, int8={**VALUES["int8"], "aware": aware}),
            training=training,
            calibration=given.calibration,
        )

    return run


@pytest.fixture
def training(tmp_path: Path) -> TrainingConfig:
    values = {
        "output": tmp_path / "run",
        "label_space": "cityscapes19",
        "device": "cpu",
        "precision": "fp32",
        "workers": 0,
        "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": HW},
        "source": {"kind": "checkpoint", "path": tmp_path / "not_there.safetensors"},
        "target": {
            "adapt": {"layout": "streets", "domain": "target", "first": 50, "count": 4, "height": HW[0], "width": HW[1]}
        },
        "adaptation": {
            "method": {"name": "iapc"},
            "pseudo_labels": {"scales": [1.0], "mirror": False},
            "views": {"train_hw": HW, "scale": [1.0, 1.0], "crop_hw": [32, 48]},
            "memory_hw": HW,
            "min_classes": 2,
            "iterations": 1,
            "batch_size": 2,
        },
    }
    return validated(TrainingConfig, values, place="test")


def test_within_its_budget_nothing_is_trained(choose: Choose, tmp_path: Path) -> None:
    choice = choose(budgets=ALWAYS_MET, when="short")
    assert choice.is_within
    assert choice.quantization.trained_iterations == 0
    assert (tmp_path / "int8.onnx").exists()


def test_short_of_its_budget_training_needs_its_section(choose: Choose) -> None:
    with pytest.raises(ConfigError, match=r"export\.int8\.aware\.when=short needs the section training"):
        choose(budgets=NEVER_MET, when="short")


def test_short_of_its_budget_without_training_says_what_would_help(
    choose: Choose, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = choose(budgets=NEVER_MET, when="never")
    assert not choice.is_within
    assert "int8.aware.when=short would train for it" in capsys.readouterr().err


def test_training_that_does_harm_leaves_the_calibrated_form(
    choose: Choose, training: TrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibrated = choose(budgets=NEVER_MET, when="never")
    content = (tmp_path / "int8.onnx").read_bytes()
    ruinous = choose(
        budgets=NEVER_MET, training=training, when="short", iterations=2, learning_rate_multiplier=1e5, likeness=0.0
    )
    assert ruinous.losses == calibrated.losses
    assert ruinous.quantization.trained_iterations == 0
    assert (tmp_path / "int8.onnx").read_bytes() == content
    assert "the calibrated form is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("budgets", "before"),
    [
        (NEVER_MET, {"label_agreement": 0.0}),
        # Nothing agrees better than all of it, but a class is lost.
        (CLASSES_KEPT, {"label_agreement": 1.0, "classes": (ClassRecall(0.5, 0.0),)}),
    ],
)
def test_training_that_helps_is_written_and_told(
    choose: Choose,
    training: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    budgets: dict[str, Any],
    before: dict[str, Any],
) -> None:
    calibrated = choose(budgets=budgets, when="never")
    content = (tmp_path / "int8.onnx").read_bytes()
    # What helps a network of random weights is chance, so anything counts as better than before here.
    found = choose_int8

    def worse_before(model: Path, path: Path, **arguments: Any) -> Int8Choice:
        choice = found(model, path, **arguments)
        return choice if arguments["ranges"] else replace(choice, losses=replace(choice.losses, **before))

    monkeypatch.setattr(integers, "choose_int8", worse_before)
    trained = choose(budgets=budgets, training=training, when="always", iterations=2)
    assert trained.quantization.trained_iterations == 2
    assert trained.quantization.float_layers == calibrated.quantization.float_layers
    assert trained.losses.label_agreement > 0.5
    assert (tmp_path / "int8.onnx").read_bytes() != content
