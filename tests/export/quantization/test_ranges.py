import functools

import numpy as np
import pytest

from export.frame_sets import FrameSets
from export.onnx_graph import with_output
from export.quantization.choose import Calibration
from export.quantization.layers import NetworkGraph
from export.quantization.ranges import METHODS, Statistics, collect_statistics
from export.quantization.sessions import open_session


def test_extremes_are_those_of_all_values_on_all_frames(network: NetworkGraph, sets: FrameSets) -> None:
    frames = sets.candidates.some([0, 3])
    ranges = collect_statistics(network, frames).ranges("minmax")
    names = ["image", "logits", network.layers["layer2.1.conv2"].inputs[0]]
    session = open_session(functools.reduce(with_output, names, network.model.SerializeToString()))
    values = [session.run(names, {"frame": frame}) for frame in frames]
    for place, name in enumerate(names[::2]):
        of_all = np.stack([frame[2 * place] for frame in values])
        assert ranges[name] == pytest.approx((of_all.min(), of_all.max()), rel=1e-5, abs=1e-6)
    # The sum that becomes the logits is never an integer.
    assert "logits" not in ranges


def test_methods_cut_less_frequent_values() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=100_000), [50.0]]).astype(np.float32)
    statistics = Statistics({"a": (float(values.min()), 50.0)}, {"a": values})
    ranges = {method: statistics.ranges(method)["a"] for method in METHODS}
    assert ranges["minmax"] == (float(values.min()), 50.0)
    assert 3.0 < ranges["percentile"][1] < 5.0
    assert ranges["entropy"][1] < 50.0


def test_half_of_an_activation_that_is_zero_is_not_cut_away() -> None:
    values = np.maximum(np.random.default_rng(0).normal(size=100_000), 0).astype(np.float32)
    low, high = Statistics({"a": (0.0, float(values.max()))}, {"a": values}).ranges("percentile")["a"]
    assert low == pytest.approx(0.0, abs=1e-6)
    assert 3.0 < high <= values.max()


def test_constant_activation_keeps_its_value() -> None:
    for method in METHODS:
        assert Statistics({"a": (2.0, 2.0)}, {"a": np.full(9, 2.0, np.float32)}).ranges(method)["a"] == (2.0, 2.0)


def test_no_method_reaches_beyond_the_extremes(calibration: Calibration) -> None:
    extremes = calibration.statistics.ranges("minmax")
    for method in METHODS:
        for name, (low, high) in calibration.statistics.ranges(method).items():
            assert extremes[name][0] <= low <= high <= extremes[name][1]


def test_statistics_say_nothing_on_stdout(calibration: Calibration, capsys: pytest.CaptureFixture[str]) -> None:
    calibration.statistics.ranges("percentile")
    assert capsys.readouterr().out == ""
