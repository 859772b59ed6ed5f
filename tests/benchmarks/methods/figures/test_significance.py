"""Rows against the leading one: by seeds, and by frames."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.methods.cells.results import CellResult, Figures, write_counts
from benchmarks.methods.figures.resamples import interval_of_frames, resampled_miou
from benchmarks.methods.figures.significance import differences
from benchmarks.methods.figures.summary import RowFigures, baseline_figures, row_figures
from benchmarks.methods.rows.row import Row
from benchmarks.resampling import NUM_RESAMPLES


def row(title: str, *values: float) -> RowFigures:
    results = {
        seed: CellResult(seed=seed, changes={}, iterations=1, source_sha256="a", figures=Figures(scores={}, miou=value))
        for seed, value in enumerate(values)
    }
    return row_figures(Row(title, {}), results, ("miou",), {})


def baseline(title: str, value: float) -> RowFigures:
    figures = Figures(scores={}, miou=value)
    return baseline_figures(title, figures, ("miou",), figures)


def test_rows_are_compared_with_the_leading_one_by_equal_seeds() -> None:
    """Differences -1, -2, -3 and, from the baseline's 8, -2, -4, -6."""
    found = differences([row("b", 9, 10, 11), row("a", 10, 12, 14), baseline("blend", 8)], "miou", (0, 1, 2), {})
    assert [(one.title, one.leader, one.num_seeds, one.mean) for one in found] == [
        ("b", "a", 3, -2.0),
        ("blend", "a", 3, -4.0),
    ]
    assert found[0].p == pytest.approx(1 - np.sqrt(12 / 14))
    # Twice the differences have the same t.
    assert found[1].p == pytest.approx(found[0].p)
    assert [one.p_holm for one in found] == [pytest.approx(2 * (1 - np.sqrt(12 / 14)))] * 2


def test_what_cannot_be_said_is_said() -> None:
    rows = [baseline("source", 5), baseline("blend", 9), row("a", 7)]
    assert [one.why_not for one in differences(rows, "miou", (0, 1), {})] == [
        "no seed changes either",
        "a single seed in common",
    ]
    assert differences([row("a", 1, 2)], "miou", (0, 1), {}) == []


def test_baseline_may_lead() -> None:
    (found,) = differences([row("a", 7, 8), baseline("blend", 9)], "miou", (0, 1), {})
    assert (found.leader, found.mean, found.interval is not None) == ("blend", -1.5, True)


def test_frames_without_a_label_are_not_drawn_and_equal_networks_do_not_differ(tmp_path: Path) -> None:
    good, bad, empty = (np.array(one) for one in ([[4, 0], [0, 4]], [[2, 2], [2, 2]], [[0, 0], [0, 0]]))
    write_counts(tmp_path / "counts.npz", {"mixed": [good, bad, empty], "good": [good, good, empty]})
    found = resampled_miou(tmp_path / "counts.npz")
    assert found["good"].shape == (NUM_RESAMPLES,)
    assert (found["good"] == 100).all()
    # Both frames, one of them twice, or the other: IoU 6/10, 4/4, 2/6.
    assert set(np.round(found["mixed"], 2)) == {60.0, 100.0, 33.33}
    assert interval_of_frames("a", "b", [0], {"a": {0: found["mixed"]}, "b": {0: found["mixed"]}}) == (0, 0)
    low, high = interval_of_frames("a", "b", [0], {"a": {0: found["mixed"]}, "b": {0: found["good"]}}) or (1, 1)
    assert (round(low, 2), high) == (-66.67, 0)
    assert interval_of_frames("a", "b", [0], {"a": {0: found["mixed"]}}) is None


def test_missing_counts_are_no_frames(tmp_path: Path) -> None:
    assert resampled_miou(tmp_path / "none.npz") == {}


def test_neighbours_are_drawn_together(tmp_path: Path) -> None:
    """Of 64 frames the first half is right, the second wrong: in runs of four, as in a video, far more varies."""
    right, wrong = np.array([[5, 0], [0, 5]]), np.array([[0, 5], [5, 0]])
    halves = np.stack([right] * 32 + [wrong] * 32)
    mixed = np.stack([right, wrong] * 32)
    np.savez(tmp_path / "counts.npz", halves=halves, mixed=mixed)
    found = resampled_miou(tmp_path / "counts.npz")
    assert found["mixed"].std() < 1e-6
    # Single draws give 5.4.
    assert found["halves"].std() > 8.0
