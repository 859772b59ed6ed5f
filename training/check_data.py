"""`check-data`: read everything a run would read, before the run, and tell all that is wrong with it at once.

The target's adaptation frames are opened as `adapt` opens them, without a way to a label.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from runtime.command import progress, say
from runtime.errors import ConfigError, DataError
from runtime.files import write_json
from runtime.labels import LabelSpace
from training.config import TrainingConfig
from training.data.frames import Frames
from training.data.open import label_names, open_frames, open_labelled_frames
from training.data.survey import FrameFinding, LabelledIds, Survey, look_at
from training.data_sets import (
    DataSet,
    class_warnings,
    data_sets,
    id_warnings,
    name_warnings,
    overlap_warnings,
    size_faults,
    warnings,
)
from training.pictures import colour_labels, write_contact_sheet

__all__ = ["check_data"]

ROWS = 4
TOLD = 20


@dataclass(slots=True)
class _Checked:
    """A data set with what was found; `frames` is None where it cannot be opened."""

    data_set: DataSet
    frames: Frames | None
    labelled: LabelledIds | None
    survey: Survey
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Names of all frames."""
        return [self.frames.name(index) for index in range(len(self.frames))] if self.frames is not None else []


class _Findings(Dataset[FrameFinding]):
    """What frames turn out to be, by index; a data set of its own, so that loader processes share the reading."""

    def __init__(self, frames: Frames, labelled: LabelledIds | None) -> None:
        self.frames, self.labelled = frames, labelled

    def __getitem__(self, index: int) -> FrameFinding:
        return look_at(self.frames, self.labelled, index)


def check_data(config: TrainingConfig, *, limit: int | None = None) -> dict[str, Any]:
    """Survey every data set of a run; write `data.json` and `preview.png`, and print a table.

    Args:
        config: the run.
        limit: look at this many frames of each data set, evenly spread; None looks at all.

    Returns:
        Key figures: `frames` looked at by data set, the number of `warnings`, the paths written.

    Raises:
        DataError: something would stop a run; all of it is printed and in `data.json`.
        ConfigError: labels are asked of a layout that has none, or `limit` is not positive.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit {limit}: expected a number of frames, at least 1")
    space = config.label_space
    checked = [_check(data_set, space, limit, config.workers) for data_set in data_sets(config)]
    overlaps = overlap_warnings([(found.data_set, found.names) for found in checked])
    path, picture = config.output / "data.json", config.output / "preview.png"
    write_json(path, {**{found.data_set.key: _document(found, space) for found in checked}, "overlaps": overlaps})
    say(_frequency_table(checked, space))
    for found in checked:
        _tell(found, space)
    for text in overlaps:
        say(f"warning: {text}")
    has_picture = write_contact_sheet(picture, _columns(checked, space))
    num_faults = sum(len(found.faults) for found in checked)
    if num_faults:
        raise DataError(f"{num_faults} faults would stop this run; all are listed in {path}")
    return {
        "frames": {found.data_set.key: found.survey.num_looked_at for found in checked},
        "warnings": sum(len(found.warnings) for found in checked) + len(overlaps),
        "data": str(path),
        **({"picture": str(picture)} if has_picture else {}),
    }


def _check(data_set: DataSet, space: LabelSpace, limit: int | None, workers: int) -> _Checked:
    try:
        labelled = open_labelled_frames(data_set.frames, space, must_exist=False) if data_set.is_labelled else None
        frames: Frames = labelled if labelled is not None else open_frames(data_set.frames)
    except DataError as error:
        return _Checked(data_set, None, None, Survey(0), faults=[str(error)])
    found = _Checked(data_set, frames, labelled, Survey(len(frames)))
    indices = np.unique(np.linspace(0, len(frames) - 1, num=min(limit or len(frames), len(frames)), dtype=int))
    loader = DataLoader(
        _Findings(frames, labelled),
        batch_size=None,
        sampler=indices.tolist(),
        num_workers=_cores() if workers else 0,
        collate_fn=_as_it_is,
    )
    for finding in progress(loader, title=data_set.key, unit="frame", total=len(indices)):
        found.survey.add(finding)
    found.faults = [*found.survey.problems, *size_faults(data_set, found.survey)]
    found.warnings = [*warnings(data_set, found.survey), *name_warnings(found.names)]
    if labelled is not None:
        shares, ignored = _shares(labelled, found.survey, space)
        found.warnings += class_warnings(data_set, shares, ignored, found.survey.num_looked_at)
        found.warnings += id_warnings(data_set.frames, space)
    return found


def _as_it_is(finding: Any) -> Any:
    """In place of the loader's own conversion, which wants tensors; a function, so that it reaches the processes."""
    return finding


def _cores() -> int:
    """Cores this process may use: nothing else computes while data is checked, so it takes them all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shares(labelled: LabelledIds, survey: Survey, space: LabelSpace) -> tuple[dict[str, float], float]:
    """Share of the labelled pixels by class, and the share of all pixels that is ignored."""
    counts = survey.class_counts(labelled.table, space.num_classes)
    total, num_labelled = sum(survey.id_counts.values()), int(counts.sum())
    shares = {name: float(count) / max(num_labelled, 1) for name, count in zip(space.names, counts, strict=True)}
    return shares, 1.0 - num_labelled / total if total else 0.0


def _document(found: _Checked, space: LabelSpace) -> dict[str, Any]:
    survey = found.survey
    document: dict[str, Any] = {
        "frames": survey.num_frames,
        "looked_at": survey.num_looked_at,
        "sizes": {f"{height}x{width}": count for (height, width), count in survey.sizes.most_common()},
        "faults": found.faults,
        "warnings": found.warnings,
    }
    if found.labelled is not None:
        shares, ignored = _shares(found.labelled, survey, space)
        document["label_ids"] = _label_ids(found.data_set, survey, space)
        document["class_percent"] = {name: round(100 * share, 4) for name, share in shares.items()}
        document["ignored_percent"] = round(100 * ignored, 4)
    return document


def _label_ids(data_set: DataSet, survey: Survey, space: LabelSpace) -> dict[str, dict[str, Any]]:
    """Name and pixels of every raw id found; `undefined` where the data set does not define it."""
    names: Mapping[int, str | None] = label_names(data_set.frames, space)
    return {
        str(raw_id): {"name": (names[raw_id] or "void") if raw_id in names else "undefined", "pixels": count}
        for raw_id, count in sorted(survey.id_counts.items())
    }


def _tell(found: _Checked, space: LabelSpace) -> None:
    document, key = _document(found, space), found.data_set.key
    sizes = ", ".join(f"{size} ({count})" for size, count in document["sizes"].items())
    say(f"{key}: {document['looked_at']} of {document['frames']} frames looked at; height x width: {sizes or 'none'}")
    if "label_ids" in document:
        say(f"{key}: ids " + ", ".join(f"{raw_id} {told['name']}" for raw_id, told in document["label_ids"].items()))
    for kind, texts in (("warning", found.warnings), ("fault", found.faults)):
        for text in texts[:TOLD]:
            say(f"{kind}: {key}: {text}")
        if len(texts) > TOLD:
            say(f"{kind}: {key}: and {len(texts) - TOLD} more, listed in data.json")


def _frequency_table(checked: Sequence[_Checked], space: LabelSpace) -> str:
    columns = {
        found.data_set.key: _shares(found.labelled, found.survey, space)[0]
        for found in checked
        if found.labelled is not None
    }
    if not columns:
        return "no labelled data set: no class frequencies"
    lines = [f"{'pixels in percent':18}" + "".join(f"{key:>19}" for key in columns)]
    for name in space.names:
        shares = [column[name] for column in columns.values()]
        lines.append(f"{name:18}" + "".join(f"{format(100 * s, '.3f') if s else 'never':>19}" for s in shares))
    return "\n".join(lines)


def _columns(checked: Sequence[_Checked], space: LabelSpace) -> dict[str, list[NDArray[np.uint8]]]:
    """Pictures of a few usable frames of every data set, and of their labels, by caption."""
    columns = {}
    for found in checked:
        if found.frames is None or not found.survey.usable:
            continue
        usable = sorted(found.survey.usable)
        places = np.unique(np.linspace(0, len(usable) - 1, num=min(ROWS, len(usable)), dtype=int))
        indices, key = [usable[place] for place in places], found.data_set.key
        columns[key] = [found.frames.image(index) for index in indices]
        if found.labelled is not None:
            columns[f"{key}: labels"] = [colour_labels(found.labelled.label(index), space) for index in indices]
    return columns
