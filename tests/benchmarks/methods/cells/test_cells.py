"""What a cell's file is named after."""

from pathlib import Path

import numpy as np

from benchmarks.methods.cells.cells import Comparison
from benchmarks.methods.figures.baselines import baselines_path
from benchmarks.methods.rows.row import Row
from runtime.images import write_png
from training.data.config import FolderConfig

ROW = Row(title="as configured", changes={})


def test_cells_of_a_folder_that_has_another_frame_are_other_cells(comparison: Comparison, tmp_path: Path) -> None:
    """What was measured with the frames that were there before says nothing of those that are there now."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("b.png", "c.png"):
        write_png(folder / name, np.zeros((64, 96, 3), dtype=np.uint8))
    target = comparison.config.target.model_copy(update={"adapt": FolderConfig(layout="folder", root=folder)})
    config = comparison.config.model_copy(update={"target": target})

    def marks() -> tuple[str, str]:
        found = Comparison.of("folder", config, comparison.methods)
        return found.cell(ROW, 0).fingerprint, baselines_path(found).name

    before = marks()
    assert marks() == before
    write_png(folder / "a.png", np.zeros((64, 96, 3), dtype=np.uint8))
    assert not set(marks()) & set(before)
    (folder / "a.png").unlink()
    assert marks() == before
