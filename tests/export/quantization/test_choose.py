from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.config import Int8Budget, Int8Config
from export.frame_sets import FrameSets
from export.quantization.choose import Calibration, Int8Choice, choose_int8
from export.quantization.coverage import hash_of
from export.quantization.sensitivity import measure_sensitivity, sensitivity_table
from runtime.bundle.manifest import Scheme
from runtime.errors import ConfigError

NUM_CLASSES = 19
LAYER, BEFORE = "layer2.1.conv2", "layer2.1.conv1"
NO_CLASS = {"min_class_recall": 0.0, "min_rare_recall": 0.0}
ANYTHING = Int8Budget(min_label_agreement=0.0, max_logits_error=1e9, **NO_CLASS)
NOTHING = Int8Budget(min_label_agreement=1.0, max_logits_error=0.0)


class Choose:
    """Arguments that most tests share."""

    def __init__(self, model: Path, sets: FrameSets, calibration: Calibration) -> None:
        self.model, self.sets, self.calibration = model, sets, calibration

    def __call__(
        self, path: Path, config: Int8Config, budget: Int8Budget, scheme: Scheme = "u8s8", **values: object
    ) -> Int8Choice:
        return choose_int8(
            self.model,
            path,
            scheme=scheme,
            sets=self.sets,
            config=config,
            budget=budget,
            num_classes=NUM_CLASSES,
            **{"calibration": self.calibration, **values},  # type: ignore[arg-type]
        )


@pytest.fixture
def choose(fp32: Path, sets: FrameSets, calibration: Calibration) -> Choose:
    return Choose(fp32, sets, calibration)


@pytest.fixture
def choose_for_sensitive(sensitive: Path, sets: FrameSets, calibration_of_sensitive: Calibration) -> Choose:
    return Choose(sensitive, sets, calibration_of_sensitive)


@pytest.mark.parametrize("scheme", ["u8s8", "s8s8"])
def test_layer_that_integers_hurt_is_found(
    calibration_of_sensitive: Calibration, sets: FrameSets, scheme: Scheme
) -> None:
    found = measure_sensitivity(
        calibration_of_sensitive.network,
        sets.choice,
        scheme=scheme,
        ranges=calibration_of_sensitive.statistics.ranges("minmax"),
    )
    assert [entry.layer for entry in found] == list(calibration_of_sensitive.network.layers)
    first, second = sorted(found, key=lambda entry: -entry.logits_error)[:2]
    assert (first.layer, first.num_weights) == (LAYER, 128 * 128 * 3 * 3)
    assert first.logits_error > 2 * second.logits_error > 0
    assert first.label_agreement < second.label_agreement < 1
    assert sensitivity_table(found).splitlines()[2].startswith(f"| {LAYER} | {first.logits_error:.4f} |")


@pytest.mark.parametrize(("scheme", "kept"), [("u8s8", (BEFORE, LAYER)), ("s8s8", (LAYER,))])
def test_it_stays_in_float_where_the_budget_asks_for_it(
    choose_for_sensitive: Choose, tmp_path: Path, scheme: Scheme, kept: tuple[str, ...]
) -> None:
    config = Int8Config(range_method="minmax", max_float_layers=2)
    all_integer = choose_for_sensitive(tmp_path / "a.onnx", config, ANYTHING, scheme)
    assert (all_integer.quantization.float_layers, all_integer.is_within, all_integer.sensitivity) == ((), True, ())
    wanted = 0.7 * all_integer.losses.logits_error
    budget = ANYTHING.model_copy(update={"max_logits_error": wanted})
    choice = choose_for_sensitive(tmp_path / "b.onnx", config, budget, scheme)
    assert choice.is_within
    assert choice.quantization.float_layers == kept
    assert choice.losses.logits_error < wanted
    assert choice.losses.label_agreement > all_integer.losses.label_agreement
    weights = {tensor.name for tensor in onnx.load(tmp_path / "b.onnx").graph.initializer}
    assert {name for name in weights if name.endswith(f"{LAYER}.weight")}


def test_class_that_loses_too_much_keeps_layers_in_float(choose_for_sensitive: Choose, tmp_path: Path) -> None:
    config = Int8Config(range_method="minmax", max_float_layers=2)
    before = choose_for_sensitive(tmp_path / "a.onnx", config, ANYTHING).losses.worst_recall
    assert before is not None
    # Half of what a class may lose is spent: within the budget, and not safely.
    lost = (1 - before) * 1.5
    budget = ANYTHING.model_copy(update={"min_class_recall": 1 - lost, "min_rare_recall": 1 - lost})
    choice = choose_for_sensitive(tmp_path / "b.onnx", config, budget)
    assert choice.quantization.float_layers == (BEFORE, LAYER)
    assert choice.losses.worst_recall is not None
    assert 1 - choice.losses.worst_recall <= lost / 2
    beyond = ANYTHING.model_copy(update={"min_class_recall": 1.0, "min_rare_recall": 1.0})
    assert not choose_for_sensitive(tmp_path / "c.onnx", config, beyond).is_within


def test_layers_that_cost_too_much_are_passed_over(choose_for_sensitive: Choose, tmp_path: Path) -> None:
    layers = choose_for_sensitive.calibration.network.layers
    total = sum(layer.num_macs for layer in layers.values())
    for share in (1.0, 0.05, 0.0):
        config = Int8Config(range_method="minmax", max_float_layers=8, max_float_share=share)
        choice = choose_for_sensitive(tmp_path / f"{share}.onnx", config, NOTHING, "s8s8")
        kept = sum(layers[name].num_macs for name in choice.quantization.float_layers)
        assert kept <= share * total
        assert (LAYER in choice.quantization.float_layers) is (layers[LAYER].num_macs <= share * total)
        assert (kept > 0) is (share > 0)


def test_budget_that_cannot_be_met_is_said_so_and_float_layers_stay_few(
    choose_for_sensitive: Choose, tmp_path: Path
) -> None:
    choice = choose_for_sensitive(tmp_path / "a.onnx", Int8Config(range_method="minmax", max_float_layers=3), NOTHING)
    assert not choice.is_within
    assert len(choice.quantization.float_layers) <= 3
    assert len(choice.sensitivity) == 24


def test_each_range_method_is_measured_and_the_best_is_taken(choose: Choose, tmp_path: Path) -> None:
    config = Int8Config(float_layers=("stem.0",))
    of_each = {
        method: choose(tmp_path / "a.onnx", config.model_copy(update={"range_method": method}), ANYTHING)
        for method in ("minmax", "percentile", "entropy")
    }
    best = max(of_each.values(), key=lambda choice: (choice.losses.label_agreement, -choice.losses.logits_error))
    chosen = choose(tmp_path / "b.onnx", config, ANYTHING)
    assert chosen.quantization == best.quantization
    assert chosen.quantization.float_layers == ("stem.0",)
    assert len({choice.losses.logits_error for choice in of_each.values()}) == 3


def test_given_ranges_replace_calibrated_ones(choose: Choose, tmp_path: Path) -> None:
    config = Int8Config(range_method="minmax")
    plain = choose(tmp_path / "a.onnx", config, ANYTHING)
    given = choose(tmp_path / "b.onnx", config, ANYTHING, ranges={"image": (-10.0, 15.5)})
    assert given.ranges == {**plain.ranges, "image": (-10.0, 15.5)}
    constants = {tensor.name: tensor for tensor in onnx.load(tmp_path / "b.onnx").graph.initializer}
    scale = onnx.numpy_helper.to_array(constants["image_scale"])
    assert scale == pytest.approx(25.5 / 255)
    assert onnx.numpy_helper.to_array(constants["image_zero_point"]) == 100
    with pytest.raises(ValueError, match="ranges are given for elsewhere, which the network does not quantize"):
        choose(tmp_path / "c.onnx", config, ANYTHING, ranges={"elsewhere": (0.0, 1.0)})


def test_unknown_float_layer_is_refused(choose: Choose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"float_layers names head\.9, which the network does not have"):
        choose(tmp_path / "a.onnx", Int8Config(float_layers=("head.9",)), ANYTHING)


def test_same_frames_give_the_same_bytes_and_the_gate_is_never_read(
    fp32: Path, sets: FrameSets, int8_config: Int8Config, tmp_path: Path
) -> None:
    without_gate = replace(sets, gate=sets.gate.some([]))
    config = int8_config.model_copy(update={"range_method": "percentile"})
    choices = [
        choose_int8(
            fp32,
            tmp_path / name,
            scheme="u8s8",
            sets=given,
            config=config,
            budget=ANYTHING,
            num_classes=NUM_CLASSES,
        )
        for name, given in (("a.onnx", sets), ("b.onnx", without_gate))
    ]
    assert choices[0] == choices[1]
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_quantization_says_which_frames_calibrated(choose: Choose, tmp_path: Path) -> None:
    choice = choose(tmp_path / "a.onnx", Int8Config(range_method="minmax"), ANYTHING)
    frames = choose.calibration.frames
    assert choice.quantization.num_calibration_frames == len(frames) == 4
    assert choice.quantization.calibration_sha256 == hash_of(frames)
    assert not set(frames.indices) & set(choose.sets.gate.indices + choose.sets.choice.indices)
    assert 0 < choice.losses.label_agreement <= 1
    assert np.isfinite(choice.losses.logits_error)
