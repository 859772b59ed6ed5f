"""Means, spreads and gains worked by hand."""

import pytest

from benchmarks.methods.cells.results import CellResult, Figures
from benchmarks.methods.figures.summary import Summary, baseline_figures, row_figures, summarise
from benchmarks.methods.rows.row import Row


def result(seed: int, miou: float | None, *, failed: str | None = None, **iou: float | None) -> CellResult:
    figures = None if miou is None else Figures(scores={"entropy": miou / 10}, miou=miou, iou=iou)
    return CellResult(seed=seed, changes={}, iterations=1, source_sha256="ab" * 32, figures=figures, failed=failed)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Summary(None, None)),
        ([3.0], Summary(3.0, None)),
        ([1.0, 3.0], Summary(2.0, 1.4142)),  # variance ((1)^2 + (1)^2) / (2 - 1) = 2
        ([1.0, 2.0, 6.0], Summary(3.0, 2.6458)),  # (4 + 1 + 9) / 2 = 7
    ],
)
def test_spread_is_the_sample_standard_deviation(values: list[float], expected: Summary) -> None:
    assert summarise(values) == expected


def test_gain_is_between_equal_seeds() -> None:
    """Gains 1, 1 and 4: their spread is not that of the values; the seed the other row lacks does not count."""
    results = {0: result(0, 11.0), 1: result(1, 21.0), 2: result(2, 34.0), 3: result(3, 99.0)}
    row = row_figures(Row("x", {}), results, ("miou",), {"miou": {0: 10.0, 1: 20.0, 2: 30.0}})
    assert row.gain["miou"] == Summary(2.0, 1.7321)
    assert row.summary["miou"].mean == 41.25


def test_class_absent_from_one_seed_is_averaged_over_the_others() -> None:
    results = {0: result(0, 1.0, road=10.0, train=None), 1: result(1, 1.0, road=20.0, train=4.0)}
    row = row_figures(Row("x", {}), results, ("miou",), {})
    assert row.iou == {"road": Summary(15.0, 7.0711), "train": Summary(4.0, None)}


def test_failed_seed_is_told_and_not_averaged() -> None:
    row = row_figures(Row("x", {}), {0: result(0, 5.0), 1: result(1, None, failed="NaN")}, ("miou", "entropy"), {})
    assert row.summary == {"miou": Summary(5.0, None), "entropy": Summary(0.5, None)}
    assert row.failed == {1: "NaN"}


def test_figures_of_a_start_say_so() -> None:
    vetoed = result(2, 20.0).model_copy(update={"is_vetoed": True})
    row = row_figures(Row("x", {}, note="ours"), {0: result(0, 30.0), 2: vetoed}, ("miou",), {})
    assert row.note == "ours; lost too many classes and was vetoed with seed 2: figures of its start"
    assert row_figures(Row("x", {}), {0: result(0, 30.0)}, ("miou",), {}).note == ""


def test_baseline_has_no_spread_and_the_source_is_the_papers_first_row() -> None:
    source, other = Figures(scores={}, miou=20.0), Figures(scores={}, miou=26.5)
    row = baseline_figures("BN replaced", other, ("miou",), source)
    assert (row.summary["miou"], row.gain["miou"]) == (Summary(26.5, None), Summary(6.5, None))
    assert row.values == {"miou": {}}
    assert row.published is None
    assert baseline_figures("source only", source, ("miou",), source).published == 36.6
