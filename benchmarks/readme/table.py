"""The tables of README.md and of docs/methods_guide.md, as Markdown.

They are functions of the figures alone, so that a test can tell text that somebody typed.
"""

from collections.abc import Sequence
from statistics import fmean

from benchmarks.readme.extract import DataFigures, Figure, MethodFigures, Shown
from benchmarks.tables import ABSENT, markdown_table, number

__all__ = ["every_method", "results"]

ORACLE, IAPC, PLUS = "oracle", "IAPC (as configured)", "IAPC+"
FIRST, LAST = ("source only", "BN as chosen", "balanced", "TENT"), (IAPC, PLUS, ORACLE)
"""Rows that README.md shows whatever they reach; the best of the others on each data set stand between them."""
TITLES = {
    "source only": "source network, not adapted",
    "BN as chosen": "batch-norm statistics blended, share chosen without labels",
    "balanced": "the same, class frequencies taken out",
    IAPC: "**IAPC**",
    PLUS: "**IAPC+**",
    ORACLE: "*oracle*: trained with target labels",
}
NAMES = {"streets": "`streets`", "camvid": "CamVid day to dusk"}


def results(figures: MethodFigures) -> str:
    """The table of README.md, what it is of, and what the test over seeds says."""
    header = ["mIoU on the target, percent"]
    for name in figures.data:
        header += [_name(name), "of the way to the oracle"]
    lines = [
        [TITLES.get(title, title), *(cell for data in figures.data.values() for cell in _cells(data, title, figures))]
        for title in _titles(figures)
    ]
    return "\n".join((*markdown_table(header, lines), "", _caption(figures), _tested(figures)))


def every_method(figures: MethodFigures) -> str:
    """A line for each row, by what it reaches over all data sets: its mean and, in brackets, each seed's value."""
    header = [f"mIoU, seeds {_listed(figures.seeds)}, {_steps(figures)} steps", *map(_name, figures.data)]
    steps = "" if figures.oracle_iterations is None else f", {figures.oracle_iterations} steps with target labels"
    free, sourced, oracle = (
        _ranked(figures, *kinds) for kinds in (("baseline", "source_free"), ("with_source",), ("oracle",))
    )
    divider = ["*learning from labelled source frames too*", *[""] * len(figures.data)]
    lines = [_line(figures, title, f"**{title}**" if title == PLUS else title) for title in free]
    lines += [divider, *(_line(figures, title, title) for title in sourced)] if sourced else []
    lines += [_line(figures, title, f"*{title}*{steps}") for title in oracle]
    return "\n".join(markdown_table(header, lines))


def _name(data: str) -> str:
    return NAMES.get(data, f"`{data}`")


def _titles(figures: MethodFigures) -> list[str]:
    best = [title for data in figures.data.values() if (title := _best_other(data)) is not None]
    there = {title for data in figures.data.values() for title in data.rows}
    return [title for title in dict.fromkeys((*FIRST, *best, *LAST)) if title in there]


def _best_other(data: DataFigures) -> str | None:
    """Of the methods that take gradient steps without source frames and target labels; no one picks it by hand."""
    others = {
        title: row.miou.mean
        for title, row in data.rows.items()
        if row.kind == "source_free" and title not in (*FIRST, *LAST) and row.miou.mean is not None
    }
    return max(others, key=lambda title: others[title]) if others else None


def _cells(data: DataFigures, title: str, figures: MethodFigures) -> tuple[str, str]:
    row = data.rows.get(title)
    if row is None:
        return ABSENT, ABSENT
    return _told(row.miou, 1) + _seeds_left(row, figures.seeds), _told(row.recovered, 0, unit="\u00a0%")


def _told(figure: Figure, digits: int, *, unit: str = "") -> str:
    if figure.mean is None:
        return ABSENT
    spread = "" if figure.spread is None else f"\u00a0±\u00a0{number(figure.spread, digits)}"
    return f"{number(figure.mean, digits)}{spread}{unit}"


def _seeds_left(row: Shown, seeds: Sequence[int]) -> str:
    """Which seeds a figure is of, where they are not all: one may have failed, or not have run yet."""
    return f" (seed {_listed(sorted(row.values))})" if row.values and set(row.values) != set(seeds) else ""


def _caption(figures: MethodFigures) -> str:
    state = "" if figures.num_done == figures.num_cells else f" {figures.num_done} of {figures.num_cells} cells done."
    oracle = "" if figures.oracle_iterations is None else f", {figures.oracle_iterations} for the oracle"
    failed = f" {figures.num_failed} cells failed." if figures.num_failed else ""
    return (
        f"Mean ± sample standard deviation over adaptation seeds {_listed(figures.seeds)}; rows without a spread have "
        f"no gradient step or one seed. {_steps(figures)} steps a method{oracle}, on {figures.machine}."
        f"{state}{failed}{_with_their_optimizer(figures)}"
    )


def _with_their_optimizer(figures: MethodFigures) -> str:
    """What a reader has to know of the leading row, whose preset trains otherwise than all others."""
    found = {
        name: data.plus_with_their_optimizer
        for name, data in figures.data.items()
        if data.plus_with_their_optimizer is not None
    }
    if not found:
        return ""
    told = _listed([f"{_told(figure, 1)} on {_name(name)}" for name, figure in found.items()])
    return f" {PLUS} has AdamW and whole frames, the other methods SGD and crops; with SGD it reaches {told}."


def _tested(figures: MethodFigures) -> str:
    found = [
        f"on {_name(name)} {data.leader} leads, and {data.num_behind} of {data.num_compared} other source-free rows "
        "are significantly below it"
        for name, data in figures.data.items()
        if data.leader is not None
    ]
    return f"By Student's t over seeds, with Holm's correction, at 5 %: {'; '.join(found) or 'nothing to compare'}."


def _ranked(figures: MethodFigures, *kinds: str) -> list[str]:
    """Titles of some kinds, the highest mean over data sets first; where a figure is missing, last."""
    found = {title: row.kind for data in figures.data.values() for title, row in data.rows.items()}
    return sorted(
        (title for title, kind in found.items() if kind in kinds), key=lambda title: -_reached(figures, title)
    )


def _reached(figures: MethodFigures, title: str) -> float:
    rows = [data.rows.get(title) for data in figures.data.values()]
    return fmean(0.0 if row is None or row.miou.mean is None else row.miou.mean for row in rows)


def _line(figures: MethodFigures, title: str, shown: str) -> list[str]:
    return [shown, *(_each_seed(data.rows.get(title), figures.seeds) for data in figures.data.values())]


def _each_seed(row: Shown | None, seeds: Sequence[int]) -> str:
    if row is None or row.miou.mean is None:
        return ABSENT
    if not row.values:
        return number(row.miou.mean, 1)
    return f"{number(row.miou.mean, 1)} ({', '.join(number(row.values.get(seed), 1) for seed in seeds)})"


def _steps(figures: MethodFigures) -> str:
    return _listed(sorted({data.iterations for data in figures.data.values()}))


def _listed(values: Sequence[object]) -> str:
    *some, last = map(str, values)
    return f"{', '.join(some)} and {last}" if some else last
