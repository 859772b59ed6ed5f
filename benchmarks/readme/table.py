"""README.md's results, as Markdown: a pure function of the figures, so that a test can tell text that was typed."""

from collections.abc import Sequence

from benchmarks.readme.extract import IAPC, ORACLE, PLUS, DataFigures, Figure, MethodFigures, Shown
from benchmarks.tables import ABSENT, markdown_table, number

__all__ = ["results"]

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
    """The table, what it is of, and what the test over seeds says."""
    header = ["mIoU on the target, percent"]
    for name in figures.data:
        header += [NAMES.get(name, f"`{name}`"), "of the way to the oracle"]
    lines = [
        [TITLES.get(title, title), *(cell for data in figures.data.values() for cell in _cells(data, title, figures))]
        for title in figures.titles
    ]
    return "\n".join((*markdown_table(header, lines), "", _caption(figures), _tested(figures)))


def _cells(data: DataFigures, title: str, figures: MethodFigures) -> tuple[str, str]:
    row = data.rows.get(title)
    if row is None:
        return ABSENT, ABSENT
    return _told(row.miou, 1) + _seeds_left(row, figures.seeds), _told(row.recovered, 0, unit=" %")


def _told(figure: Figure, digits: int, *, unit: str = "") -> str:
    if figure.mean is None:
        return ABSENT
    spread = "" if figure.spread is None else f" ± {number(figure.spread, digits)}"
    return f"{number(figure.mean, digits)}{spread}{unit}"


def _seeds_left(row: Shown, seeds: Sequence[int]) -> str:
    """Which seeds a figure is of, where they are not all: one may have failed, or not have run yet."""
    return f" (seed {_listed(row.seeds)})" if row.seeds and set(row.seeds) != set(seeds) else ""


def _caption(figures: MethodFigures) -> str:
    steps = {data.iterations for data in figures.data.values()}
    state = "" if figures.num_done == figures.num_cells else f" {figures.num_done} of {figures.num_cells} cells done."
    oracle = "" if figures.oracle_iterations is None else f", {figures.oracle_iterations} for the oracle"
    failed = f" {figures.num_failed} cells failed." if figures.num_failed else ""
    return (
        f"Mean ± sample standard deviation over adaptation seeds {_listed(figures.seeds)}; rows without a spread have "
        f"no gradient step or one seed. {_listed(sorted(steps))} steps a method{oracle}, on {figures.machine}."
        f"{state}{failed}"
    )


def _tested(figures: MethodFigures) -> str:
    found = [
        f"on {NAMES.get(name, f'`{name}`')} {data.leader} leads, and {data.num_behind} of {data.num_compared} other "
        "source-free rows are significantly below it"
        for name, data in figures.data.items()
        if data.leader is not None
    ]
    return f"By Student's t over seeds, with Holm's correction, at 5 %: {'; '.join(found) or 'nothing to compare'}."


def _listed(values: Sequence[int]) -> str:
    *some, last = map(str, values)
    return f"{', '.join(some)} and {last}" if some else last
