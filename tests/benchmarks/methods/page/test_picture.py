"""The picture: its size, that it shows something, and that what it shows is the figures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.methods.cells.cells import Comparison
from benchmarks.methods.cells.results import CellResult, Figures
from benchmarks.methods.config import MethodsConfig
from benchmarks.methods.figures.blocks import Block, Study, StudyFigures
from benchmarks.methods.figures.summary import baseline_figures, row_figures
from benchmarks.methods.page.picture import write_picture
from benchmarks.methods.rows.row import Row
from benchmarks.methods.rows.tables import Table, build_tables

METHOD = {"name": "iapc", "importance_weighted": 0.2, "information": 0.5, "symmetric": 0.04, "enhanced": 2.0}
TABLES = build_tables(MethodsConfig(tables=("ablation", "sensitivity", "variants")), {"method": METHOD})

Draw = Callable[..., NDArray[np.uint8]]


def result(seed: int, miou: float) -> CellResult:
    figures = Figures(scores={}, miou=miou)
    return CellResult(seed=seed, changes={}, iterations=1, source_sha256="a", figures=figures)


@pytest.fixture
def drawn(comparison: Comparison) -> Draw:
    """Draws tables whose rows all have the same values; `oracle` is a value of its own."""

    def draw(
        path: Path, values: dict[int, float], tables: list[Table] = TABLES, oracle: float | None = None
    ) -> NDArray[np.uint8]:
        results = {seed: result(seed, value) for seed, value in values.items()}
        blocks = []
        for table in tables:
            source = Figures(scores={}, miou=20.0)
            first = [baseline_figures("source only", source, ("miou",), source)] if table.has_baselines else []
            rows = first + [row_figures(row, results, ("miou",), {}) for row in table.rows]
            blocks.append(Block(table, "", rows, []))
        row = None
        if oracle is not None:
            row = row_figures(Row("oracle", {}), {0: result(0, oracle)}, ("miou",), {}, is_oracle=True)
        write_picture(path, [StudyFigures(Study(comparison, tables, None), ("miou",), row, blocks)])
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))

    return draw


def test_picture_is_1200_wide_and_every_table_has_ink(drawn: Draw, tmp_path: Path) -> None:
    picture = drawn(tmp_path / "a.png", {0: 25.0, 1: 27.0})
    assert picture.shape[1] == 1200
    dark = (picture < 100).all(axis=2)
    for third in np.array_split(dark, 3):
        assert third.sum() > 1000


def test_picture_shows_the_figures(drawn: Draw, tmp_path: Path) -> None:
    first = drawn(tmp_path / "a.png", {0: 25.0, 1: 27.0})
    again = drawn(tmp_path / "b.png", {0: 25.0, 1: 27.0})
    spread = drawn(tmp_path / "c.png", {0: 24.0, 1: 28.0})
    assert np.array_equal(first, again)
    assert not np.array_equal(first, spread)


def test_comparison_of_which_nothing_has_run_is_drawn_all_the_same(drawn: Draw, tmp_path: Path) -> None:
    assert (drawn(tmp_path / "a.png", {}) < 100).any()


def test_single_seed_and_single_table_are_drawn(drawn: Draw, tmp_path: Path) -> None:
    heights = [drawn(tmp_path / f"{table.name}.png", {0: 25.0}, [table]).shape[0] for table in TABLES]
    assert abs(sum(heights) - drawn(tmp_path / "all.png", {0: 25.0}).shape[0]) <= 3


@pytest.mark.parametrize(("table", "axis"), [(TABLES[0], 1), (TABLES[1], 0)])
def test_bar_is_as_long_as_the_spread(drawn: Draw, tmp_path: Path, table: Table, axis: int) -> None:
    """Equal values have no bar; then nothing dark is longer than a dot or a letter."""
    runs = []
    for apart in (0.0, 6.0):
        picture = drawn(tmp_path / f"{apart}.png", {0: 25.0 - apart, 1: 25.0 + apart}, [table])
        runs.append(longest_run(picture.max(axis=2), axis))
    narrow, wide = runs
    assert narrow < 30
    assert wide > 100


def test_oracle_is_a_line_across_the_rows_of_a_table_with_baselines(drawn: Draw, tmp_path: Path) -> None:
    picture = drawn(tmp_path / "a.png", {0: 25.0}, [TABLES[0]], oracle=40.0).astype(int)
    green = (picture[:, :, 1] > picture[:, :, 0] + 50) & (picture[:, :, 1] > picture[:, :, 2] + 20)
    assert green.any(axis=1).sum() > 0.4 * len(picture)
    without = drawn(tmp_path / "b.png", {0: 25.0}, [TABLES[2]], oracle=40.0).astype(int)
    assert not ((without[:, :, 1] > without[:, :, 0] + 50) & (without[:, :, 1] > without[:, :, 2] + 20)).any()


def test_block_that_learns_from_source_frames_has_a_colour_of_its_own(comparison: Comparison, tmp_path: Path) -> None:
    table = Table("methods", "Methods", (), has_baselines=True)
    rows = [
        row_figures(Row("a", {}), {0: result(0, 25.0)}, ("miou",), {}, needs_source=is_so) for is_so in (False, True)
    ]
    brown = []
    for kept in (rows[:1], rows):
        blocks = [Block(table, "", [row], []) for row in kept]
        write_picture(tmp_path / "a.png", [StudyFigures(Study(comparison, [table], None), ("miou",), None, blocks)])
        with Image.open(tmp_path / "a.png") as image:
            picture = np.array(image.convert("RGB")).astype(int)
        brown.append(int((picture[:, :, 0] > picture[:, :, 2] + 80).sum()))
    assert brown[0] == 0
    assert brown[1] > 20


def longest_run(brightest: NDArray[np.uint8], axis: int) -> int:
    """Pixels of the longest unbroken dark line along an axis."""
    run = np.zeros(brightest.shape[1 - axis], dtype=int)
    longest = 0
    for line in np.moveaxis(brightest, axis, 0):
        run = (run + 1) * (line < 100)
        longest = max(longest, int(run.max()))
    return longest
