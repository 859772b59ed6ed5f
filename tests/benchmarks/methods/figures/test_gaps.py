"""Shares of the way to the oracle, worked by hand."""

from benchmarks.methods.cells.results import CellResult, Figures
from benchmarks.methods.figures.gaps import placed
from benchmarks.methods.figures.summary import NOTHING, RowFigures, Summary, baseline_figures, row_figures
from benchmarks.methods.rows.row import Row


def row(title: str, *values: float, is_oracle: bool = False) -> RowFigures:
    results = {
        seed: CellResult(seed=seed, changes={}, iterations=1, source_sha256="a", figures=Figures(scores={}, miou=value))
        for seed, value in enumerate(values)
    }
    return row_figures(Row(title, {}), results, ("miou",), {}, is_oracle=is_oracle)


def baseline(title: str, value: float) -> RowFigures:
    figures = Figures(scores={}, miou=value)
    return baseline_figures(title, figures, ("miou",), figures)


BASELINES = (baseline("source only", 20), baseline("BN replaced", 32), baseline("BN as chosen", 30))


def test_gains_are_over_the_best_baseline_and_shares_of_the_way_to_the_mean_oracle() -> None:
    """From 20 to 40 are 20 points, from the blend's 30 to 40 are 10; the row stands at 34 and 38."""
    *without, found, oracle = placed([*BASELINES, row("a", 34, 38)], row("oracle", 38, 42, is_oracle=True))
    assert found.over_best == Summary(4.0, 2.8284)
    assert found.recovered == Summary(80.0, 14.1421)
    assert found.recovered_of_blend == Summary(60.0, 28.2843)
    assert [one.recovered.mean for one in without] == [0.0, 60.0, 50.0]
    assert [one.recovered_of_blend.mean for one in without] == [-100.0, 20.0, 0.0]
    assert oracle.recovered.mean == 100.0


def test_without_an_oracle_there_are_gains_alone() -> None:
    found = placed([*BASELINES, row("a", 34, 38)], None)[-1]
    assert (found.over_best.mean, found.recovered, found.recovered_of_blend) == (4.0, NOTHING, NOTHING)


def test_oracle_that_is_no_better_leaves_no_way() -> None:
    found = placed([*BASELINES, row("a", 34)], row("oracle", 25, is_oracle=True))[-2]
    assert (found.recovered, found.recovered_of_blend) == (Summary(280.0, None), NOTHING)
