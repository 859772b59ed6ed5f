"""What adaptation prepares before its first step: the network it starts from, its labels and its importance.

All of it is a function of source network, target frames and a few settings, lies in a folder named after them, and is
shared by every run that agrees on them: a comparison of twenty variants labels the target once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from runtime.command import say
from runtime.errors import DataError
from runtime.files import writable_folder
from training.checkpoint import NetworkSpec, load_network, save_network
from training.config import AdaptationConfig, TrainingConfig
from training.data.frames import Frames
from training.data.open import identified, open_frames
from training.device import Compute
from training.frame_sizes import require_servable
from training.labels.exposure import exposures_to_look_at
from training.labels.importance import ImportanceMaps, make_importance_maps
from training.labels.looks import Looks
from training.labels.pseudo_labels import PseudoLabels, make_pseudo_labels
from training.losses.terms import ImportanceForm
from training.networks.network import SegmentationNetwork, scaled_hw
from training.networks.probe import require_usable
from training.public_checkpoints.conventions import warn_of_convention
from training.source import LoadedSource, factory_of, fingerprint
from training.statistics.balance import balance_classes
from training.statistics.batch_norm import (
    Statistics,
    blend,
    has_statistics,
    load_statistics,
    read_statistics,
    statistics_distance,
)
from training.statistics.label_free import choose_share, score
from training.target_images import SCORED_FRAMES, frame_batches, network_inputs, target_statistics

__all__ = ["FORMAT", "INITIAL", "Prepared", "initial_settings", "prepare", "prepared_settings"]

INITIAL = "initial.safetensors"
# Of what lies in the folder; 2: `is_same_domain` is always told; 3: `exposures` too;
# 4: shares are chosen among those that tell enough of pixels.
FORMAT = 4
# What a source network that was adapted itself tells of that adaptation, and this one may not decide anew.
DECIDED_BEFORE = (
    *("shift", "shares_tried", "exposures", "class_offsets"),
    *("settled_share", "lost_classes", "is_vetoed", "integers"),
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run starts from; files lie in `folder`."""

    folder: Path
    network: SegmentationNetwork
    """The source network with its share of target statistics, on the run's device, in evaluation mode."""
    spec: NetworkSpec
    frames: Frames
    pseudo_labels: PseudoLabels
    """Where they lie, once `make_labels` has made them."""
    source_statistics: Statistics
    """The source network's own, before those of the target were blended into them."""

    def make_labels(self, config: AdaptationConfig, compute: Compute) -> None:
        """Make the pseudo-labels of all frames that have none yet.

        Before anything is learnt: they are those of `network` as it is.
        """
        asked = config.pseudo_labels
        shares = asked.frame_shares if has_statistics(self.network) else (0.0,)
        looks = Looks(asked.scales, asked.mirror, tuple(self.spec.provenance["exposures"]), shares)
        frames, labels = self.frames, self.pseudo_labels
        make_pseudo_labels(self.network, self.spec, frames, labels, looks, compute, balance=asked.balance)

    def importance(self, form: ImportanceForm, compute: Compute) -> ImportanceMaps:
        """Importance of every pixel of every frame; computed where that was not done before."""
        maps = ImportanceMaps(self.folder / f"importance_{form}")
        make_importance_maps(self.network, self.spec, self.frames, maps, form=form, compute=compute)
        return maps

    def load_start(self, config: TrainingConfig) -> SegmentationNetwork:
        """`network` as it was before it was trained, in evaluation mode, on the CPU."""
        return load_network(self.folder / INITIAL, factory=factory_of(config.model))[0].eval()

    def settle(self, student: SegmentationNetwork, config: AdaptationConfig, compute: Compute) -> float:
        """Give a student trained by batch statistics of clean target frames, blended with the source's.

        The share of the target's is the one given, or chosen anew: the student is another network than the one that
        the share it started with was chosen for, and training by batch brought it nearer to the target's alone.

        Returns:
            That share; 1 where `settled_statistics` leaves the source's out.

        Raises:
            TrainingError: the student's predictions are finite at no share.
        """
        target = target_statistics(student, self.spec, self.frames, compute, limit=config.statistics_frames)
        share = 1.0
        if config.settled_statistics == "blended":
            share = (
                config.statistics_share
                if config.statistics_share != "auto"
                else self._share_for(student, target, compute)
            )
        load_statistics(student, blend(self.source_statistics, target, share))
        return share

    def _share_for(self, student: SegmentationNetwork, target: Statistics, compute: Compute) -> float:
        images = list(network_inputs(self.spec, self.frames, compute, limit=SCORED_FRAMES))
        return choose_share(student, images, source=self.source_statistics, target=target, compute=compute)[0]


def initial_settings(config: TrainingConfig) -> dict[str, Any]:
    """What, besides source network and target frames, decides the network that adaptation starts from."""
    adaptation = config.adaptation
    return {
        "model": config.model,
        "space": config.label_space,
        "statistics": [adaptation.statistics_share, adaptation.statistics_frames],
        "min_shift": adaptation.min_shift,
        "balance": adaptation.balance,
    }


def prepared_settings(config: TrainingConfig, source_sha256: str, frames: Frames) -> dict[str, Any]:
    """What decides all that `prepare` makes, after which its folder is named.

    Args:
        config: the run.
        source_sha256: of the source network's file.
        frames: the target's, by whose index labels and importance are kept.

    Raises:
        DataError: a frame's file is missing.
    """
    return {
        "format": FORMAT,
        **initial_settings(config),
        "source": source_sha256,
        "target": identified(config.target.images, frames),
        "pseudo_labels": config.adaptation.pseudo_labels,
    }


def prepare(
    config: TrainingConfig, source: LoadedSource, compute: Compute, folder: Path, *, frames: Frames | None = None
) -> Prepared:
    """Make, or find in a folder below `folder`, what adaptation starts from.

    Args:
        config: the run.
        source: the source network.
        compute: where and how precisely.
        folder: shared by runs that may start from the same.
        frames: the target's, where they are open already: a folder that is written to may hold others the next time.

    Raises:
        DataError: fewer than two target frames, or one whose file cannot be read.
        ConfigError: the network cannot be trained at the size of the crops, or its size cannot serve the frames.
        TrainingError: its predictions of target frames are finite at no share of their statistics.
    """
    frames = open_frames(config.target.images) if frames is None else frames
    if len(frames) < 2:
        raise DataError(
            f"the target has {len(frames)} frame(s); adaptation needs at least 2, and some hundred to be worth it"
        )
    adaptation = config.adaptation
    folder = writable_folder(folder / fingerprint(prepared_settings(config, source.sha256, frames), compute))
    told = {key: value for key, value in source.spec.provenance.items() if key not in DECIDED_BEFORE}
    spec = source.spec.model_copy(update={"model": config.model, "provenance": told})
    require_servable(frames, spec.network_hw, key="target.adapt", world=compute.world)
    network = compute.place(source.network)
    own = read_statistics(network)
    _require_usable(network, spec, adaptation, compute)

    def begin() -> tuple[SegmentationNetwork, NetworkSpec]:
        if source.is_foreign and not (folder / INITIAL).exists():
            warn_of_convention(network, spec.model.convention, frames, spec.network_hw, compute)
        return _initial_network(network, spec, frames, adaptation, compute, folder)

    network, spec = compute.world.first_then_all(begin)
    return Prepared(folder, network.eval(), spec, frames, PseudoLabels(folder / "pseudo_labels"), own)


def _require_usable(
    network: SegmentationNetwork, spec: NetworkSpec, config: AdaptationConfig, compute: Compute
) -> None:
    """Refuse a network that cannot compute at one of the sizes adaptation shows it.

    Raises:
        ConfigError: names the key of the size.
    """
    scaled = {
        f"adaptation.pseudo_labels.scales, {scale}": scaled_hw(spec.network_hw, scale, network.size_multiple)
        for scale in config.pseudo_labels.scales
    }
    with compute.autocast():
        require_usable(
            network, spec, config.views.crop_hw, compute.world.trial_size(config.batch_size), frame_sizes=scaled
        )


def _initial_network(
    source: SegmentationNetwork,
    spec: NetworkSpec,
    frames: Frames,
    config: AdaptationConfig,
    compute: Compute,
    folder: Path,
) -> tuple[SegmentationNetwork, NetworkSpec]:
    """The source network with target statistics blended in; kept on disk, so that a resumed run has the same."""
    path = folder / INITIAL
    if path.exists():
        network, spec = load_network(path, factory=factory_of(spec.model))
        return compute.place(network), spec
    images = list(network_inputs(spec, frames, compute, limit=SCORED_FRAMES))
    # While the network has its own statistics.
    exposures = config.pseudo_labels.exposures
    if exposures == "auto":
        some = frame_batches(frames, compute, limit=SCORED_FRAMES)
        exposures = exposures_to_look_at(source.eval(), spec, some, compute)
    decided = {**_blend_statistics(source, spec, frames, images, config, compute), "exposures": list(exposures)}
    if config.balance > 0 and not decided["is_same_domain"]:
        offsets = balance_classes(source.eval(), images, compute, strength=config.balance)
        decided["class_offsets"] = [round(offset, 3) for offset in offsets.tolist()]
    scored = score(source, images, compute).as_dict()
    spec = spec.with_provenance(**decided, scores_before=scored)
    save_network(path, source, spec)
    return source, spec


def _blend_statistics(
    source: SegmentationNetwork,
    spec: NetworkSpec,
    frames: Frames,
    images: Sequence[Tensor],
    config: AdaptationConfig,
    compute: Compute,
) -> dict[str, Any]:
    """Blend target statistics into the network; what was decided, for its provenance.

    With `is_same_domain` the target is too near to be another domain, and nothing is blended.
    """
    # Said in any case: the source network may have been adapted itself, and tells what was decided then.
    nothing = {"statistics_share": 0.0, "is_same_domain": False}
    if not has_statistics(source):
        say("the network has no batch norm: there are no statistics to blend")
        return nothing
    share, own = config.statistics_share, read_statistics(source)
    if share == 0.0 and config.min_shift == 0.0:
        say("share of target statistics: 0.0 (given)")
        return nothing
    target = target_statistics(source, spec, frames, compute, limit=config.statistics_frames)
    decided: dict[str, Any] = {"shift": round(statistics_distance(own, target), 4)}
    say(f"the target is {decided['shift']} from the source; from {config.min_shift} on it is another domain")
    if decided["shift"] < config.min_shift:
        return {**nothing, **decided, "is_same_domain": True}
    if share == "auto":
        share, scores = choose_share(source, images, source=own, target=target, compute=compute)
        decided["shares_tried"] = {str(tried): found.as_dict() for tried, found in scores.items()}
    load_statistics(source, blend(own, target, share))
    say(f"share of target statistics: {share} ({'chosen without labels' if 'shares_tried' in decided else 'given'})")
    return {**nothing, **decided, "statistics_share": share}
