"""The story of INT8: calibrate, choose how ranges are taken, keep layers in float where the budget asks for it."""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from export.config import Budget, Int8Config
from export.frame_sets import FrameSets, TargetFrames
from export.quantization.candidate import Candidate, Losses, compare
from export.quantization.coverage import calibration_frames, hash_of
from export.quantization.layers import NetworkGraph, read_network
from export.quantization.quantize import fitted_ranges, quantize
from export.quantization.ranges import METHODS, Range, RangeMethod, Statistics, collect_statistics
from export.quantization.sensitivity import LayerSensitivity, measure_sensitivity
from export.quantization.sessions import labels_and_logits
from runtime.bundle.manifest import Quantization, Scheme
from runtime.command import say

__all__ = ["Calibration", "Int8Choice", "calibrate", "choose_int8"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a float32 graph does on its calibration frames; the same for every scheme."""

    network: NetworkGraph
    frames: TargetFrames
    frames_sha256: str
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class Int8Choice:
    """How an INT8 graph was made, and how it did on the frames of choice.

    `ranges` are those of the activations, by tensor. `sensitivity` is empty where quantizing all layers met the budget
    and no report was asked for. `is_within` says whether `losses` are within the budget.
    """

    quantization: Quantization
    ranges: dict[str, Range]
    sensitivity: tuple[LayerSensitivity, ...]
    losses: Losses
    is_within: bool


def calibrate(
    model: Path, sets: FrameSets, config: Int8Config, *, num_classes: int, class_names: Sequence[str] = ()
) -> Calibration:
    """Choose calibration frames among the candidates and collect the statistics of every activation on them.

    Args:
        model: a float32 ONNX artefact.
        sets: its candidates are used, nothing else.
        config: how many frames.
        num_classes: of the label maps.
        class_names: for messages.

    Raises:
        BackendError: the graph has no tensors `image` and `logits`, or nothing to quantize between them.
        DataError: a frame cannot be read, or has another size.
    """
    network = read_network(model)
    frames = calibration_frames(
        network.model,
        sets.candidates,
        config.num_calibration_frames,
        num_classes=num_classes,
        class_names=class_names,
    )
    return Calibration(network, frames, hash_of(frames), collect_statistics(network, frames))


def choose_int8(
    model: Path,
    path: Path,
    *,
    scheme: Scheme,
    sets: FrameSets,
    config: Int8Config,
    budget: Budget,
    num_classes: int,
    class_names: Sequence[str] = (),
    ranges: Mapping[str, Range] | None = None,
    calibration: Calibration | None = None,
    reference: Path | None = None,
    with_report: bool = False,
) -> Int8Choice:
    """Write the INT8 graph that agrees best with the float32 one on the frames of choice; no label is used.

    All layers are quantized first. If that is not safely within the budget, the most sensitive layers stay in float:
    1, 2, 4, ... up to what `config` allows, until it is; where it never is, the best of what was tried is written.

    Args:
        model: a float32 ONNX artefact.
        path: where the INT8 file goes.
        scheme: whose integers.
        sets: its candidates and frames of choice are used, never those of the gate.
        config: what to choose, and what is given.
        budget: label agreement, logits error and recall of classes that are wanted.
        num_classes: of the label maps.
        class_names: for messages.
        ranges: by tensor; they replace calibrated ones, as training with integers gives them.
        calibration: of this very model, where there is one already.
        reference: the float32 artefact to agree with; `model` itself where it is None.
        with_report: measure the sensitivity of layers even if the budget is met.

    Raises:
        BackendError: the graph has no tensors `image` and `logits`, or nothing to quantize between them.
        ConfigError: a float layer of the config is not in the network.
        DataError: a frame cannot be read, or has another size.
        ValueError: `ranges` names a tensor that is not in the graph.
    """
    if calibration is None:
        calibration = calibrate(model, sets, config, num_classes=num_classes, class_names=class_names)
    compared_with = calibration.network if reference is None else read_network(reference)
    chooser = _Chooser(calibration, compared_with, sets.choice, num_classes, scheme, config, dict(ranges or {}))
    given = () if config.float_layers == "auto" else config.float_layers
    methods = METHODS if config.range_method == "auto" else (config.range_method,)
    best = max(
        (chooser.measure(method, given) for method in methods), key=lambda candidate: candidate.losses.rank(budget)
    )
    sensitivity: tuple[LayerSensitivity, ...] = ()
    may_keep_any = config.float_layers == "auto" and config.max_float_layers > 0 and config.max_float_share > 0
    may_keep = may_keep_any and not best.losses.is_safely_within(budget)
    if may_keep or with_report:
        sensitivity = chooser.sensitivity(best.method)
    if may_keep:
        best = chooser.keep_in_float(best, sensitivity, budget)
    chooser.write(path, best)
    return Int8Choice(
        Quantization(
            scheme=scheme,
            range_method=best.method,
            calibration_sha256=calibration.frames_sha256,
            num_calibration_frames=len(calibration.frames),
            float_layers=best.float_layers,
        ),
        fitted_ranges(calibration.network, chooser.ranges(best.method)),
        sensitivity,
        best.losses,
        best.losses.is_within(budget),
    )


class _Chooser:
    """Makes and measures ways to quantize one network."""

    def __init__(
        self,
        calibration: Calibration,
        reference: NetworkGraph,
        frames: TargetFrames,
        num_classes: int,
        scheme: Scheme,
        config: Int8Config,
        given_ranges: Mapping[str, Range],
    ) -> None:
        self._network = calibration.network
        self._statistics = calibration.statistics
        self._frames = frames
        self._num_classes = num_classes
        self._scheme = scheme
        self._config = config
        self._given = given_ranges
        self._ranges: dict[RangeMethod, dict[str, Range]] = {}
        title = "float32 on frames of choice"
        self._reference = list(labels_and_logits(reference.model, frames, title=title))

    def ranges(self, method: RangeMethod) -> dict[str, Range]:
        """Calibrated ranges with the given ones in their place."""
        if method not in self._ranges:
            calibrated = self._statistics.ranges(method)
            if unknown := sorted(self._given.keys() - calibrated.keys()):
                raise ValueError(f"ranges are given for {', '.join(unknown)}, which the network does not quantize")
            self._ranges[method] = {**calibrated, **self._given}
        return self._ranges[method]

    def write(self, path: Path, candidate: Candidate) -> None:
        self._quantize(path, candidate.method, candidate.float_layers)

    def measure(self, method: RangeMethod, float_layers: tuple[str, ...]) -> Candidate:
        """Quantize and compare with the float32 network."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            self._quantize(path, method, float_layers)
            model = onnx.load(path)
        title = f"{self._scheme} by {method}, {len(float_layers)} layers in float"
        losses = compare(self._reference, labels_and_logits(model, self._frames, title=title), self._num_classes)
        worst = "" if losses.worst_recall is None else f", worst class keeps {losses.worst_recall:.1%}"
        say(f"{title}: label agreement {losses.label_agreement:.4%}, logits error {losses.logits_error:.4f}{worst}")
        return Candidate(method, float_layers, losses)

    def sensitivity(self, method: RangeMethod) -> tuple[LayerSensitivity, ...]:
        return measure_sensitivity(
            self._network,
            self._frames,
            scheme=self._scheme,
            ranges=self.ranges(method),
            reduce_range=self._config.reduce_range,
        )

    def keep_in_float(self, best: Candidate, sensitivity: Sequence[LayerSensitivity], budget: Budget) -> Candidate:
        """The first candidate safely within the budget, or else the best one."""
        ordered = [entry.layer for entry in sorted(sensitivity, key=lambda entry: -entry.logits_error)]
        for kept in self._growing(ordered):
            candidate = self.measure(best.method, kept)
            if candidate.losses.is_safely_within(budget):
                return candidate
            best = max(best, candidate, key=lambda candidate: candidate.losses.rank(budget))
        return best

    def _growing(self, ordered: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Sets of 1, 2, 4, ... layers, as far as they can be filled in this order, and last the largest allowed.

        A layer that would take the set beyond what is allowed is passed over for the next one.
        """
        kept: frozenset[str] = frozenset()
        sets: list[frozenset[str]] = []
        for name in ordered:
            larger = kept | self._network.kept_with(name, self._scheme)
            if larger != kept and self._may_keep(larger):
                kept = larger
                sets.append(kept)
        size = 1
        while sets:
            fitting = [layers for layers in sets if len(layers) <= size]
            sets = sets[len(fitting) :]
            if fitting:
                # In the order of the graph, whatever their rank: the same set is the same file.
                yield tuple(name for name in self._network.layers if name in fitting[-1])
            size *= 2

    def _may_keep(self, names: Collection[str]) -> bool:
        layers = self._network.layers
        num_macs = sum(layers[name].num_macs for name in names)
        most = self._config.max_float_share * sum(layer.num_macs for layer in layers.values())
        return len(names) <= self._config.max_float_layers and num_macs <= most

    def _quantize(self, path: Path, method: RangeMethod, float_layers: tuple[str, ...]) -> None:
        quantize(
            self._network,
            path,
            scheme=self._scheme,
            ranges=self.ranges(method),
            float_layers=float_layers,
            reduce_range=self._config.reduce_range,
        )
