"""Quantization-aware adaptation: an adapted network learns to live with its integers, still without labels.

The adapted network is the source network of a second, short adaptation. It labels the target, judges importance, and
a fake-quantized copy of it is student and memory; batch norm keeps its statistics, which are the target's already.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from runtime.bundle.manifest import Scheme
from runtime.command import say
from runtime.errors import ConfigError
from runtime.files import writable_folder
from training.adapt import train_on_target
from training.checkpoint import read_network, save_network
from training.config import GivenSource, TrainingConfig
from training.data.open import identified, open_frames
from training.device import Compute, choose_compute
from training.networks.network import SegmentationNetwork
from training.preparation import prepare
from training.quantization.fake_quantization import QuantizedTensor, fake_quantized, float_state, learnt_ranges
from training.source import fingerprint, load_source
from training.target_images import SCORED_FRAMES, network_inputs

__all__ = ["Range", "TunedNetwork", "adapt_with_integers"]

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class TunedNetwork:
    """A network that learnt with its integers; its file holds plain weights, not rounded.

    `agreement_before` and `agreement_after` are shares of target pixels, at the logits' resolution, that the network
    computing with integers labels as the adapted one does in float32.
    """

    path: Path
    ranges: dict[str, Range]
    agreement_before: float
    agreement_after: float


def adapt_with_integers(
    config: TrainingConfig,
    *,
    checkpoint: Path,
    tensors: Mapping[str, QuantizedTensor],
    scheme: Scheme,
    iterations: int,
    learning_rate_multiplier: float,
    folder: Path,
    reduce_range: bool = False,
    likeness: float = 10.0,
) -> TunedNetwork:
    """Train the network of a file, computing with integers, on the target frames of a run; resumes what was begun.

    Args:
        config: the run that adapted the network: its frames, losses, views and optimiser are used again.
        checkpoint: the adapted network's file.
        tensors: the activations that become integers, with the ranges to start from; layers that none names stay
            in float32.
        scheme: how activations become integers.
        iterations: steps.
        learning_rate_multiplier: of the learning rate of `config.adaptation`, which falls to zero at the last step.
        folder: receives state, metrics and the tuned network; runs of other settings lie side by side in it.
        reduce_range: seven-bit weights.
        likeness: weight of the divergence from what the adapted network predicts, beside the losses of the run.

    Raises:
        ConfigError: the config describes another network than the file holds, or `tensors` one it has not.
        DataError: fewer than two target frames, or one that cannot be read.
        CheckpointError: the file cannot be used.
        TrainingError: a loss or gradient is not finite.
    """
    if not tensors:
        raise ConfigError("no activation becomes an integer, so there is nothing to learn; shorten the float layers")
    adapted = read_network(checkpoint)[1]
    config = _second_run(config, checkpoint, adapted.network_hw, iterations, learning_rate_multiplier)
    compute = choose_compute(config.device, config.precision)
    source, frames = load_source(config), open_frames(config.target.images)
    settings = {
        "adaptation": config.adaptation,
        "target": identified(config.target.images, frames),
        "model": config.model,
        "seed": config.seed,
        "source": source.sha256,
        "tensors": {name: asdict(tensor) for name, tensor in tensors.items()},
        "scheme": [scheme, reduce_range],
        "likeness": likeness,
    }
    mark = fingerprint(settings, compute)
    folder = writable_folder(folder / mark)
    path = folder / "tuned.safetensors"
    if path.exists():
        say(f"network has already learnt with its integers: {path}")
        return _finished(path)
    prepared = prepare(config, source, compute, folder.parent / "prepared", frames=frames)
    images = list(network_inputs(prepared.spec, prepared.frames, compute, limit=SCORED_FRAMES))
    labels = _labels(prepared.network, images, compute)
    student = fake_quantized(copy.deepcopy(prepared.network), tensors, scheme=scheme, reduce_range=reduce_range)
    before = _agreement(labels, _labels(student, images, compute))
    student = train_on_target(student, prepared, config, compute, folder, mark, likeness=likeness)
    student.sum_by_taps(False)
    after = _agreement(labels, _labels(student, images, compute))
    say(f"labels as in float32, before learning with integers: {before:.4f}; after: {after:.4f}")
    spec = adapted.with_provenance(
        made_by="adapt with integers",
        settings=mark,
        seed=config.seed,
        source_sha256=source.sha256,
        adapted=adapted.provenance,
        integers={
            "scheme": scheme,
            "reduce_range": reduce_range,
            "iterations": iterations,
            "learning_rate_multiplier": learning_rate_multiplier,
            "likeness": likeness,
            "ranges": learnt_ranges(student, tensors),
            "agreement_before": before,
            "agreement_after": after,
        },
    )
    tuned = copy.deepcopy(prepared.network)
    tuned.load_state_dict(float_state(student, like=tuned))
    save_network(path, tuned, spec)
    (folder / "state.safetensors").unlink()
    return _finished(path)


def _second_run(
    config: TrainingConfig, checkpoint: Path, network_hw: tuple[int, int], iterations: int, multiplier: float
) -> TrainingConfig:
    """The run again, from the adapted network, with its statistics as they are and a schedule of its own length."""
    adaptation = config.adaptation
    optimizer = adaptation.optimizer.model_copy(
        update={
            "learning_rate": adaptation.optimizer.learning_rate * multiplier,
            "warmup": min(adaptation.optimizer.warmup, iterations // 10),
            "horizon": iterations,
        }
    )
    kept = {
        "statistics_share": 0.0,
        "min_shift": 0.0,
        "balance": 0.0,
        "student_statistics": "fixed",
        "clean_forward": None,
    }
    return config.model_copy(
        update={
            "source": GivenSource(kind="checkpoint", path=checkpoint),
            "model": config.model.model_copy(update={"network_hw": network_hw}),
            "adaptation": adaptation.model_copy(
                update={**kept, "iterations": iterations, "optimizer": optimizer, "preset": None}
            ),
        }
    )


def _finished(path: Path) -> TunedNetwork:
    found = read_network(path)[1].provenance["integers"]
    ranges = {name: (float(low), float(high)) for name, (low, high) in found["ranges"].items()}
    return TunedNetwork(path, ranges, found["agreement_before"], found["agreement_after"])


@torch.no_grad()
def _labels(network: SegmentationNetwork, images: Sequence[Tensor], compute: Compute) -> list[Tensor]:
    """Labels (N, h, w) of batches of network input, at the logits' resolution, computed in float32."""
    network.eval()
    return [network.logits(image).argmax(dim=1) for image in images]


def _agreement(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Share of pixels that two lists of label maps have in common."""
    same = sum(int((one == other).sum()) for one, other in zip(first, second, strict=True))
    return same / sum(one.numel() for one in first)
