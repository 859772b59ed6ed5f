"""The picture: its size, that it shows something, and that what it shows is the figures."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.methods.cells import CellResult, Figures
from benchmarks.methods.config import MethodsConfig
from benchmarks.methods.picture import write_picture
from benchmarks.methods.summary import RowFigures, baseline_figures, row_figures
from benchmarks.methods.tables import Table, build_tables

METHOD = {"name": "iapc", "importance_weighted": 0.2, "information": 0.5, "symmetric": 0.04, "enhanced": 2.0}
TABLES = build_tables(MethodsConfig(), {"method": METHOD})


def drawn(path: Path, values: dict[int, float], tables: list[Table] = TABLES) -> NDArray[np.uint8]:
    def result(seed: int, miou: float) -> CellResult:
        figures = Figures(scores={}, miou=miou)
        return CellResult(seed=seed, changes={}, iterations=1, source_sha256="a", seconds=1.0, figures=figures)

    figures: dict[str, list[RowFigures]] = {}
    for table in tables:
        source = Figures(scores={}, miou=20.0)
        first = [baseline_figures("source only", source, ("miou",), source)] if table.has_baselines else []
        results = {seed: result(seed, value) for seed, value in values.items()}
        figures[table.name] = first + [row_figures(row, results, ("miou",), {}) for row in table.rows]
    write_picture(path, tables, figures, "miou")
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def test_picture_is_1200_wide_and_every_table_has_ink(tmp_path: Path) -> None:
    picture = drawn(tmp_path / "a.png", {0: 25.0, 1: 27.0})
    assert picture.shape[1] == 1200
    dark = (picture < 100).all(axis=2)
    for third in np.array_split(dark, 3):
        assert third.sum() > 1000


def test_picture_shows_the_figures(tmp_path: Path) -> None:
    first = drawn(tmp_path / "a.png", {0: 25.0, 1: 27.0})
    again = drawn(tmp_path / "b.png", {0: 25.0, 1: 27.0})
    spread = drawn(tmp_path / "c.png", {0: 24.0, 1: 28.0})
    assert np.array_equal(first, again)
    assert not np.array_equal(first, spread)


def test_comparison_of_which_nothing_has_run_is_drawn_all_the_same(tmp_path: Path) -> None:
    assert (drawn(tmp_path / "a.png", {}) < 100).any()


def test_single_seed_and_single_table_are_drawn(tmp_path: Path) -> None:
    heights = [drawn(tmp_path / f"{table.name}.png", {0: 25.0}, [table]).shape[0] for table in TABLES]
    assert abs(sum(heights) - drawn(tmp_path / "all.png", {0: 25.0}).shape[0]) <= 3


@pytest.mark.parametrize(("table", "axis"), [(TABLES[0], 1), (TABLES[1], 0)])
def test_bar_is_as_long_as_the_spread(tmp_path: Path, table: Table, axis: int) -> None:
    """Equal values have no bar; then nothing dark is longer than a dot or a letter."""
    runs = []
    for apart in (0.0, 6.0):
        picture = drawn(tmp_path / f"{apart}.png", {0: 25.0 - apart, 1: 25.0 + apart}, [table])
        runs.append(longest_run(picture.max(axis=2), axis))
    narrow, wide = runs
    assert narrow < 30
    assert wide > 100


def longest_run(brightest: NDArray[np.uint8], axis: int) -> int:
    """Pixels of the longest unbroken dark line along an axis."""
    run = np.zeros(brightest.shape[1 - axis], dtype=int)
    longest = 0
    for line in np.moveaxis(brightest, axis, 0):
        run = (run + 1) * (line < 100)
        longest = max(longest, int(run.max()))
    return longest
