"""Which input convention a network was trained with, told from unlabelled frames.

No weight says how pixels were scaled, and a network that is fed wrongly fails quietly: it predicts a few classes
everywhere. Two things give it away without labels: how many classes it still tells apart, and how far its first
batch norm's input is from the statistics it learnt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from runtime.bundle.manifest import InputConvention
from runtime.command import progress, say
from training.data.frames import Frames
from training.device import Compute
from training.frame_network import FrameInput
from training.networks.config import INPUT_CONVENTIONS, InputName
from training.networks.network import SegmentationNetwork

__all__ = ["FRAMES", "ConventionScore", "Verdict", "judge", "score_conventions", "warn_of_convention"]

FRAMES = 20
PRESENT = 0.001
"""Share of all pixels above which a class counts as predicted."""
COLLAPSED = 0.5
"""A convention that predicts less than this share of the best one's classes is out."""
CLEAR = 1.5
"""A first batch norm surprised more than this many times as much as the least surprised one's does not fit."""
CLEAR_CONFIDENCE = 0.05
"""Without batch norm, how much less sure than the surest a convention may be and still fit."""


@dataclass(frozen=True, slots=True)
class ConventionScore:
    """A network under one convention.

    `confidence`: mean largest class probability; `entropy`: mean, in nats; `num_classes`: classes with at least one
    pixel in a thousand; `surprise`: distance of the first batch norm's input from its stored statistics, 0 where
    they agree, None where there is no batch norm.
    """

    confidence: float
    entropy: float
    num_classes: int
    surprise: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        """The scores by name, rounded for people."""
        return {name: value if value is None else round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conventions that fit, the surest first; the others clearly do not."""

    fitting: tuple[str, ...]

    @property
    def best(self) -> str:
        """The one to take."""
        return self.fitting[0]

    @property
    def is_clear(self) -> bool:
        """Whether no other comes near."""
        return len(self.fitting) == 1


def score_conventions(
    network: SegmentationNetwork,
    frames: Frames,
    network_hw: tuple[int, int],
    compute: Compute,
    *,
    others: Mapping[str, InputConvention] | None = None,
) -> dict[str, ConventionScore]:
    """Scores of a network, which is put in evaluation mode, under every named convention and `others`."""
    network.eval()
    conventions: dict[str, InputConvention] = dict(INPUT_CONVENTIONS.items()) | dict(others or {})
    indices = np.linspace(0, len(frames) - 1, num=min(FRAMES, len(frames)), dtype=int)
    images = [torch.from_numpy(frames.image(int(index)))[None] for index in indices]
    return {
        name: _score(network, images, FrameInput(convention).to(compute.device), network_hw, compute, name)
        for name, convention in conventions.items()
    }


def judge(scores: Mapping[str, ConventionScore]) -> Verdict:
    """Which conventions fit.

    Those under which the network collapses do not. Of the rest those do whose first batch norm is surprised at most
    `CLEAR` times as much as the least surprised one's; without batch norm, those at most `CLEAR_CONFIDENCE` less sure
    than the surest.
    """
    most = max(score.num_classes for score in scores.values())
    left = {name: score for name, score in scores.items() if score.num_classes >= COLLAPSED * most}
    by_confidence = sorted(left, key=lambda name: -left[name].confidence)
    surprises = {name: score.surprise for name, score in left.items() if score.surprise is not None}
    if surprises:
        limit = CLEAR * min(surprises.values())
        return Verdict(tuple(name for name in by_confidence if surprises[name] <= limit))
    limit = left[by_confidence[0]].confidence - CLEAR_CONFIDENCE
    return Verdict(tuple(name for name in by_confidence if left[name].confidence > limit))


def warn_of_convention(
    network: SegmentationNetwork,
    convention: InputConvention,
    frames: Frames,
    network_hw: tuple[int, int],
    compute: Compute,
) -> str | None:
    """Tell where the config's convention does not fit a network on its target frames and another does; else None."""
    names: list[InputName] = [name for name, known in INPUT_CONVENTIONS.items() if known == convention]
    own = names[0] if names else "the config's own"
    scores = score_conventions(network, frames, network_hw, compute, others={} if names else {own: convention})
    verdict = judge(scores)
    if own in verdict.fitting:
        return None
    warning = (
        f"warning: on the target frames input convention {' or '.join(verdict.fitting)} fits this network, not {own}: "
        f"{scores[verdict.best].as_dict()} against {scores[own].as_dict()}; if that is so, set model.input: "
        f"{verdict.best}"
    )
    say(warning)
    return warning


@torch.no_grad()
def _score(
    network: SegmentationNetwork,
    images: Sequence[Tensor],
    frame_input: FrameInput,
    network_hw: tuple[int, int],
    compute: Compute,
    name: str,
) -> ConventionScore:
    layer = next((m for m in network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None), None)
    confidences, entropies, counts = [], [], torch.zeros(1)
    with _Watch(layer) as watch:
        for image in progress(images, title=f"input {name}", unit="frame"):
            with compute.autocast():
                logits = network.logits(frame_input(image.to(compute.device), network_hw)).float()
            log_probs = logits.log_softmax(dim=1)
            confidences.append(float(log_probs.amax(dim=1).exp().mean()))
            entropies.append(float(-(log_probs.exp() * log_probs).sum(dim=1).mean()))
            counts = counts + torch.bincount(logits.argmax(dim=1).flatten().cpu(), minlength=logits.shape[1])
    return ConventionScore(
        confidence=sum(confidences) / len(images),
        entropy=sum(entropies) / len(images),
        num_classes=int((counts > PRESENT * counts.sum()).sum()),
        surprise=watch.surprise(),
    )


class _Watch:
    """Collects mean and variance of a batch norm's input while frames run through."""

    def __init__(self, layer: _BatchNorm | None) -> None:
        self._layer = layer
        self._moments: list[tuple[Tensor, Tensor]] = []

    def __enter__(self) -> "_Watch":
        self._hook = self._layer.register_forward_pre_hook(self._see) if self._layer is not None else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._hook is not None:
            self._hook.remove()

    def _see(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].detach().float().transpose(0, 1).flatten(1)
        self._moments.append((values.mean(dim=1), values.square().mean(dim=1)))

    def surprise(self) -> float | None:
        """Mean over channels of the Kullback-Leibler divergence, in nats, from stored to seen normal distributions."""
        if self._layer is None:
            return None
        mean = torch.stack([first for first, _ in self._moments]).mean(dim=0)
        variance = torch.stack([second for _, second in self._moments]).mean(dim=0) - mean.square() + self._layer.eps
        assert self._layer.running_mean is not None
        assert self._layer.running_var is not None
        stored = self._layer.running_var + self._layer.eps
        shift = (mean - self._layer.running_mean).square() / stored
        return float((0.5 * (variance / stored + shift - 1.0 - (variance / stored).log())).mean())
