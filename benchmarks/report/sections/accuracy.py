"""IoU of every class, before and after, from training's report."""

from dataclasses import dataclass

from benchmarks.report.not_there import NotThereError
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.tables import number
from runtime.config import StrictModel

__all__ = ["SECTION", "AccuracyRow", "read_accuracy"]

BEFORE, AFTER = "source only", "adapted"


class AccuracyRow(StrictModel):
    """One row of training's `report.json`: percent, None for a class the test set does not have."""

    miou: float
    miou13: float | None = None
    """The second mean of label space synthia16, without wall, fence and pole."""
    iou: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class _Bar:
    """A class before and after, in percent; None where the test set does not have it."""

    name: str
    before: float | None
    after: float | None

    @property
    def gain(self) -> float | None:
        """Points gained."""
        return None if self.before is None or self.after is None else self.after - self.before


def read_accuracy(run: Run) -> dict[str, AccuracyRow]:
    """Rows by title.

    Raises:
        NotThereError: no adaptation was reported yet, or the run has no labelled test set.
        DataError: the document is damaged.
    """
    path = run.training_folder / "report.json"
    if not path.is_file() and run.training_config_path.is_file() and run.training.target.test is None:
        raise NotThereError("The run names no labelled test set (training.target.test), so nobody can say.")
    rows: dict[str, AccuracyRow] = run.document(path, dict[str, AccuracyRow], "make adapt")
    return rows


def build(run: Run) -> Content:
    """Bars by gain, and the table of all rows."""
    rows = read_accuracy(run)
    before, after = rows.get(BEFORE), rows.get(AFTER)
    names = list(dict.fromkeys(name for row in rows.values() for name in row.iou))
    bars = []
    if before is not None and after is not None:
        bars = [_Bar(name, before.iou.get(name), after.iou.get(name)) for name in names]
        bars.sort(key=lambda bar: -float("inf") if bar.gain is None else bar.gain, reverse=True)
        bars.insert(0, _Bar("mean", before.miou, after.miou))
    table = [[name, *(number(row.iou.get(name), 1) for row in rows.values())] for name in names]
    table.append(["mean", *(number(row.miou, 1) for row in rows.values())])
    if any(row.miou13 is not None for row in rows.values()):
        table.append(["mean of 13", *(number(row.miou13, 1) for row in rows.values())])
    values = {
        "bars": bars,
        "header": ["class", *rows],
        "table_rows": table,
        "num_better": sum(bar.gain is not None and bar.gain > 0 for bar in bars[1:]),
        "num_judged": sum(bar.gain is not None for bar in bars[1:]),
        "colours": _colours(run),
        "top": max([1.0, *(value for bar in bars for value in (bar.before, bar.after) if value is not None)]),
    }
    return Content(values, (run.training_folder / "report.json",))


def _colours(run: Run) -> dict[str, tuple[int, int, int]]:
    """Colours of the classes; none where the network is not there."""
    try:
        space = run.spec.label_space
    except NotThereError:
        return {}
    return dict(zip(space.names, space.palette, strict=True))


SECTION = Section("accuracy", "Accuracy by class", "make adapt", build)
