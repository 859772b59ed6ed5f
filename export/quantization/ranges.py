"""How far each activation reaches: statistics are collected once, every method takes its ranges from them."""

import contextlib
import io
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from export.frame_sets import TargetFrames
from export.quantization.layers import NetworkGraph
from export.quantization.sessions import open_session
from runtime.command import progress

__all__ = ["METHODS", "Range", "RangeMethod", "Statistics", "collect_statistics"]

RangeMethod = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[RangeMethod, ...] = get_args(RangeMethod)
Range = tuple[float, float]

# All frames together. A tensor of R101 has millions of values a frame; a quarter of a million place the percentile,
# and R101's 245 tensors of them fit into 260 MB.
NUM_SAMPLES = 1 << 18
PERCENTILE = 99.99
PERCENTILE_BINS = 2048
# The search for the smallest divergence is quadratic in the bins and runs in Python.
ENTROPY_BINS, ENTROPY_LEVELS = 512, 128


class Statistics:
    """Extremes over all values of each tensor, and evenly taken samples of them."""

    def __init__(self, extremes: Mapping[str, Range], samples: Mapping[str, NDArray[np.float32]]) -> None:
        self._extremes = extremes
        self._samples = samples
        # Both schemes ask for the same ranges, and the entropy of R101's takes half a minute.
        self._found: dict[RangeMethod, dict[str, Range]] = {"minmax": dict(extremes)}

    def ranges(self, method: RangeMethod) -> dict[str, Range]:
        """The range of each tensor by one method; none reaches beyond the extremes."""
        if method not in self._found:
            self._found[method] = self._cut_ranges(method)
        return dict(self._found[method])

    def _cut_ranges(self, method: RangeMethod) -> dict[str, Range]:
        found: dict[str, Range] = {}
        bar = progress(self._samples.items(), title=f"ranges by {method}", unit="tensor", total=len(self._samples))
        for name, samples in bar:
            lowest, highest = self._extremes[name]
            # Nothing can be cut from a tensor that has one value.
            low, high = (lowest, highest) if lowest == highest else _cut(method, samples)
            found[name] = (max(low, lowest), min(high, highest))
        return found


def collect_statistics(network: NetworkGraph, frames: TargetFrames) -> Statistics:
    """Run the float32 network on frames and keep the statistics of every tensor that may become an integer.

    Extremes and samples are taken inside the graph, so that memory does not grow with the number of tensors.

    Raises:
        DataError: a frame cannot be read, or has another size.
    """
    tensors = network.integer_tensors(network.integer_nodes("u8s8"))
    session = open_session(_observed(network, tensors, NUM_SAMPLES // len(frames)).SerializeToString())
    extremes: dict[str, Range] = dict.fromkeys(tensors, (math.inf, -math.inf))
    samples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in tensors}
    for frame in progress(frames, title="calibration", unit="frame", total=len(frames)):
        found = iter(session.run(None, {"frame": frame}))
        for name in tensors:
            low, high, taken = next(found), next(found), next(found)
            extremes[name] = (min(extremes[name][0], float(low)), max(extremes[name][1], float(high)))
            samples[name].append(taken)
    return Statistics(extremes, {name: np.concatenate(samples.pop(name)) for name in tensors})


def _observed(network: NetworkGraph, tensors: tuple[str, ...], num_samples: int) -> Any:
    """The model with minimum, maximum and samples of each tensor as its only outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    graph = model.graph
    del graph.output[:]
    make = onnx.helper.make_node
    flat = onnx.numpy_helper.from_array(np.array([-1], dtype=np.int64), "statistics.flat")
    ends = onnx.numpy_helper.from_array(np.array([np.iinfo(np.int64).max]), "statistics.ends")
    start = onnx.numpy_helper.from_array(np.array([0], dtype=np.int64), "statistics.start")
    graph.initializer.extend([flat, ends, start])
    for name in tensors:
        low, high, line, taken, step = (f"{name}.{part}" for part in ("low", "high", "line", "taken", "step"))
        stride = _stride(network.num_elements(name), num_samples)
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([stride], dtype=np.int64), step))
        graph.node.extend(
            [
                make("ReduceMin", [name], [low], name=low, keepdims=0),
                make("ReduceMax", [name], [high], name=high, keepdims=0),
                make("Reshape", [name, flat.name], [line], name=line),
                make("Slice", [line, start.name, ends.name, start.name, step], [taken], name=taken),
            ]
        )
        graph.output.extend(onnx.helper.make_empty_tensor_value_info(output) for output in (low, high, taken))
    return model


def _stride(num_elements: int, num_samples: int) -> int:
    """A step through a tensor that shares no factor with it: others would see the same columns in every row."""
    stride = max(1, math.ceil(num_elements / max(1, num_samples)))
    while stride > 1 and math.gcd(stride, num_elements) != 1:
        stride += 1
    return stride


def _cut(method: RangeMethod, samples: NDArray[np.float32]) -> Range:
    collector = HistogramCollector(
        method=method,
        symmetric=False,
        num_bins=PERCENTILE_BINS if method == "percentile" else ENTROPY_BINS,
        num_quantized_bins=ENTROPY_LEVELS,
        percentile=PERCENTILE,
        scenario=None,
    )
    # It prints, and stdout belongs to the JSON line.
    with contextlib.redirect_stdout(io.StringIO()):
        collector.collect({"tensor": samples})
        low, high, *_ = collector.compute_collection_result()["tensor"]
    return float(low), float(high)
