"""The oracle learns from the target's labels, goes on where it was, and is left out where there are none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import training.trainer
from benchmarks.methods.cells.cells import Cell, Comparison
from benchmarks.methods.cells.oracle import why_no_oracle
from benchmarks.methods.cells.results import CellResult
from benchmarks.methods.cells.run_cell import run_cell
from benchmarks.methods.config import MethodsConfig, OracleConfig
from benchmarks.methods.rows.row import ALL
from runtime.config import load_config
from runtime.images import write_png
from training.config import TrainingConfig

MakeRun = Callable[..., str]
METHODS = MethodsConfig(oracle=OracleConfig(iterations=3, learning_rate=5e-3))


def comparison_in(folder: Path, make_run: MakeRun, methods: MethodsConfig = METHODS, *overrides: str) -> Comparison:
    folder.mkdir(exist_ok=True)
    config = load_config(Path(make_run(folder)), "training", TrainingConfig, overrides)
    found = Comparison.of("run", config, methods)
    (found.folder / "cells").mkdir(parents=True)
    return found


def oracle_of(comparison: Comparison, seed: int = 0) -> Cell:
    cell = comparison.oracle_cell(seed)
    assert cell is not None
    return cell


@pytest.fixture(scope="module")
def learnt(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> CellResult:
    """The result of an oracle that was never interrupted."""
    comparison = comparison_in(tmp_path_factory.mktemp("oracle"), make_run)
    return run_cell(comparison, oracle_of(comparison))


def test_labels_teach_it_what_most_pixels_are(learnt: CellResult) -> None:
    assert learnt.figures is not None
    # The source network's weights are random; road is a third of all pixels.
    assert (learnt.figures.iou["road"] or 0.0) > 20
    assert (learnt.iterations, learnt.changes) == (3, {})


def test_interrupted_oracle_ends_like_one_that_was_not(
    learnt: CellResult, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = comparison_in(tmp_path, make_run)
    save = training.trainer._save

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.trainer, "_save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run_cell(comparison, oracle_of(comparison))
    (metrics,) = tmp_path.rglob("metrics.jsonl")
    assert len(metrics.read_text().splitlines()) == 1
    found = run_cell(comparison, oracle_of(comparison))
    assert len(metrics.read_text().splitlines()) == 3
    assert found.figures == learnt.figures
    assert [path.name for path in (comparison.folder / "runs").rglob("*.safetensors")] == []


def test_cell_depends_on_seed_steps_rate_and_the_statistics_it_starts_from(
    comparison: Comparison, make_run: MakeRun, tmp_path: Path
) -> None:
    slower = MethodsConfig(oracle=OracleConfig(iterations=3, learning_rate=1e-4))
    other = comparison_in(tmp_path / "a", make_run, METHODS, "adaptation.statistics_share=0.5")
    cells = [
        oracle_of(comparison),
        oracle_of(comparison, 1),
        oracle_of(comparison_in(tmp_path / "b", make_run)),
        oracle_of(comparison_in(tmp_path / "c", make_run, slower)),
        oracle_of(other),
        comparison.cell(ALL, 0),
    ]
    assert len({cell.fingerprint for cell in cells}) == len(cells)
    assert [cell.oracle is None for cell in cells] == [False] * 5 + [True]
    learning = cells[0].oracle
    # As many steps as the cells of this comparison have.
    assert learning is not None
    assert (learning.iterations, learning.optimizer.horizon, learning.batch_size) == (7, 7, 2)


@pytest.mark.parametrize(
    ("override", "why"),
    [
        (
            "target.adapt={{layout: folder, root: {frames}}}",
            "the target's training frames have no labels: layout folder",
        ),
        ("target.test=null", "there is no labelled test set to measure it on"),
    ],
)
def test_there_is_none_without_labels(make_run: MakeRun, tmp_path: Path, override: str, why: str) -> None:
    (tmp_path / "frames").mkdir()
    write_png(tmp_path / "frames/a.png", np.zeros((64, 96, 3), dtype=np.uint8))
    override = override.format(frames=tmp_path / "frames")
    assert why in (why_no_oracle(comparison_in(tmp_path, make_run, METHODS, override)) or "")


def test_there_is_one_with_labels_unless_it_is_left_out(
    comparison: Comparison, make_run: MakeRun, tmp_path: Path
) -> None:
    assert why_no_oracle(comparison) is None
    without = comparison_in(tmp_path, make_run, MethodsConfig(oracle=None))
    assert why_no_oracle(without) == "methods.oracle is null"
    assert without.oracle_cell(0) is None
