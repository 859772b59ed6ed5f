"""The data sets of a run: what each is for, and what about it would stop or spoil that."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

from runtime.labels import IGNORE_INDEX, LabelSpace
from training.config import TrainedSource, TrainingConfig, ViewConfig
from training.data.config import FramesConfig, LabelledFolderConfig
from training.data.open import label_names
from training.data.survey import Hw, Survey

__all__ = [
    "DataSet",
    "class_warnings",
    "data_sets",
    "id_warnings",
    "name_warnings",
    "overlap_warnings",
    "size_faults",
    "warnings",
]

# Human eyes and networks alike take a tenth for another shape; half of that is where it begins to cost.
STRETCH = 1.05
IGNORED = 0.5


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set by its key in the run file."""

    key: str
    frames: FramesConfig
    is_labelled: bool
    """Whether the run reads its labels; where it does not, nothing here does."""
    seen_hw: Hw
    """Size its frames are brought to for the network."""
    is_deployed: bool
    """Whether its frames go through the deploy graph, which takes up to twice the network's size."""
    views: ViewConfig | None = None
    """How training crops are cut from it."""
    batch_size: int | None = None


def data_sets(config: TrainingConfig) -> list[DataSet]:
    """Every data set the run file names, in the order in which a run needs them."""
    network_hw, adaptation = config.model.network_hw, config.adaptation
    found = []
    if isinstance(config.source, TrainedSource):
        views, validation = config.source.views, config.source.validation
        found.append(
            DataSet("source.frames", config.source.frames, True, views.train_hw, False, views, config.source.batch_size)
        )
        if validation is not None:
            found.append(DataSet("source.validation", validation, True, network_hw, True))
    found.append(
        DataSet("target.adapt", config.target.adapt, False, network_hw, True, adaptation.views, adaptation.batch_size)
    )
    if config.target.test is not None:
        found.append(DataSet("target.test", config.target.test, True, network_hw, True))
    return found


def size_faults(data_set: DataSet, survey: Survey) -> list[str]:
    """What would stop a run although every file can be read."""
    faults = []
    if data_set.key == "target.adapt" and survey.num_frames == 1:
        faults.append("1 frame; adaptation needs at least 2, and some hundred to be worth it")
    for hw, count in survey.sizes.items():
        if data_set.is_deployed and any(side > 2 * seen for side, seen in zip(hw, data_set.seen_hw, strict=True)):
            faults.append(
                f"{count} frames of {hw[0]}x{hw[1]} (height x width) are more than twice model.network_hw="
                f"{data_set.seen_hw}; use a network_hw of at least {tuple(-(-side // 2) for side in hw)}"
            )
    return faults


def warnings(data_set: DataSet, survey: Survey) -> list[str]:
    """What would spoil a run: too few frames, frames smaller than a crop, frames of another shape."""
    found = []
    if data_set.batch_size is not None and 1 < survey.num_frames < data_set.batch_size:
        found.append(f"{survey.num_frames} frames are fewer than a batch of {data_set.batch_size}")
    for hw, count in survey.sizes.items():
        size = f"{count} frames of {hw[0]}x{hw[1]} (height x width)"
        crop_hw = data_set.views.crop_hw if data_set.views else (0, 0)
        if any(side < crop for side, crop in zip(hw, crop_hw, strict=True)):
            found.append(f"{size} are smaller than views.crop_hw={crop_hw}: they would be enlarged, and blurred")
        stretch = data_set.seen_hw[1] * hw[0] / (data_set.seen_hw[0] * hw[1])
        if not 1 / STRETCH <= stretch <= STRETCH:
            found.append(f"{size} are of another shape than {data_set.seen_hw}: made {stretch:.2f} times as wide")
    return found


def class_warnings(data_set: DataSet, shares: dict[str, float], ignored: float, num_looked_at: int) -> list[str]:
    """Classes without a pixel, and labels that are mostly ignored.

    Args:
        data_set: a labelled one.
        shares: of the labelled pixels, by class.
        ignored: share of all pixels that no class has.
        num_looked_at: frames the shares are of.
    """
    found = []
    absent = [name for name, share in shares.items() if share == 0]
    if absent and len(absent) < len(shares):
        effect = "cannot be learnt" if data_set.key == "source.frames" else "cannot be measured and leave the mean"
        found.append(f"in {num_looked_at} frames no pixel of {', '.join(absent)}: {effect}")
    if ignored > IGNORED:
        found.append(f"{ignored:.0%} of the pixels are of no class of label_space; check that the layout fits")
    return found


def id_warnings(config: FramesConfig, space: LabelSpace) -> list[str]:
    """Names that a run file gives to label ids, and that lead nowhere: meant, or misspelt."""
    if not isinstance(config, LabelledFolderConfig):
        return []
    names = sorted({name for name in label_names(config, space).values() if name})
    lost = [name for name in names if space.train_id(name) == IGNORE_INDEX]
    near = {name: get_close_matches(name.casefold(), space.names, n=1) for name in lost}
    told = [f"{name} (did you mean {near[name][0]!r}?)" if near[name] else name for name in lost]
    return [f"ids: {', '.join(told)}: no class of label_space, nor merged into one, so ignored"] if told else []


def name_warnings(names: Sequence[str]) -> list[str]:
    """Frames listed twice, and names that differ in nothing but their suffix or letter case.

    Overlays and label maps are named after frames, so that one would overwrite the other.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    found = [f"{len(twice)} frames are listed more than once and count as often, the first {twice[0]}"] if twice else []
    stems = Counter(PurePosixPath(name).with_suffix("").as_posix().lower() for name in set(names))
    collide = sorted(n for n in set(names) if stems[PurePosixPath(n).with_suffix("").as_posix().lower()] > 1)
    if collide:
        found.append(
            f"{len(collide)} frames differ in suffix or letter case alone, the first {collide[0]} and {collide[1]}:"
            " results named after them overwrite each other"
        )
    return found


def overlap_warnings(sets: Sequence[tuple[DataSet, Sequence[str]]]) -> list[str]:
    """Frames that one data set shares with an earlier one; figures are then not of unseen frames."""
    found = []
    for place, (data_set, names) in enumerate(sets):
        for other, other_names in sets[:place]:
            is_same_place = getattr(data_set.frames, "root", None) == getattr(other.frames, "root", None)
            shared = set(names) & set(other_names) if is_same_place else set()
            if shared:
                found.append(f"{data_set.key} has {len(shared)} frames of {other.key} too, such as {min(shared)}")
    return found
