"""`python -m benchmarks methods` from end to end on four small frames: run, interrupted, failed, refused."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from PIL import Image

import benchmarks.methods.cells.run_cell
import benchmarks.methods.measure
from benchmarks.__main__ import main
from benchmarks.methods.cells.workers import Share, Task, run_cells
from runtime.files import claimed, sha256_of
from training.__main__ import main as adapt_main
from training.methods.method import Needs
from training.methods.tent import TentConfig

MakeRun = Callable[..., str]

# `same` is the configured temperature in other words: its cell is that of `all`.
GRID: dict[str, Any] = {
    "seeds": [0, 1],
    "tables": [],
    "rows": {"faster": {"optimizer.learning_rate": 2e-4}, "same": {"method.temperature": 0.1}},
}


def run_here(tasks: Sequence[Task], share: Share) -> Iterator[tuple[Task, Any]]:
    """Run cells in this process: another takes longer to start than such a cell takes to run."""
    for task in tasks:
        yield task, benchmarks.methods.cells.run_cell.run_cell(*task)


@pytest.fixture(autouse=True, scope="module")
def in_one_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmarks.methods.measure, "run_cells", run_here)
        yield


@pytest.fixture(scope="module")
def whole(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory, in_one_process: None) -> Path:
    """Folder of a comparison that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(["methods", make_run(folder, **GRID)]) == 0
    return folder


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out/methods.json").read_text())
    return found


def rows_of(folder: Path, table: str) -> dict[str, dict[str, Any]]:
    return {row["title"]: row for block in tables_of(folder)[table] for row in block["rows"]}


def tables_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All blocks of all tables, without what differs from one run to the next of the same cells."""
    tables: dict[str, list[dict[str, Any]]] = document(folder)["data"]["run"]["tables"]
    for row in (row for blocks in tables.values() for block in blocks for row in block["rows"]):
        row["costs"] = len(row["costs"])
    return tables


def cell_files(folder: Path) -> list[Path]:
    """By seed, the configured method first."""

    def order(path: Path) -> tuple[int, bool]:
        cell = json.loads(path.read_text())
        return cell["seed"], bool(cell["changes"])

    paths = (folder / "out/methods/cells").glob("*.json")
    return sorted((path for path in paths if not path.name.startswith("baselines")), key=order)


def cells_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in cell_files(folder)]


def stop_at(monkeypatch: pytest.MonkeyPatch, call: int) -> list[str]:
    """Interrupt the comparison just before its given cell; returns the titles of the cells that ran."""
    ran: list[str] = []
    run_cell = benchmarks.methods.cells.run_cell.run_cell

    def run(comparison: Any, cell: Any) -> Any:
        if len(ran) + 1 == call:
            raise KeyboardInterrupt
        ran.append(cell.title)
        return run_cell(comparison, cell)

    monkeypatch.setattr(benchmarks.methods.cells.run_cell, "run_cell", run)
    return ran


# Run


def test_every_row_runs_with_every_seed_and_equal_cells_run_once(whole: Path) -> None:
    cells = cells_of(whole)
    assert [(cell["seed"], cell["changes"]) for cell in cells] == [
        (0, {}),
        (0, {"optimizer.learning_rate": 2e-4}),
        (1, {}),
        (1, {"optimizer.learning_rate": 2e-4}),
    ]
    assert len(list((whole / "out/methods/runs").iterdir())) == 4
    assert {key: document(whole)[key] for key in ("cells", "done", "failed")} == {"cells": 4, "done": 4, "failed": 0}
    rows = rows_of(whole, "rows")
    assert list(rows) == ["all", "faster", "same"]
    assert rows["same"]["values"] == rows["all"]["values"]
    assert (rows["same"]["is_configured"], rows["faster"]["is_configured"]) == (True, False)


def test_table_is_made_of_what_the_cells_found(whole: Path, town: Path) -> None:
    cells = cells_of(whole)
    row = rows_of(whole, "rows")["faster"]
    values = [cell["figures"]["miou"] for cell in cells if cell["changes"]]
    others = [cell["figures"]["miou"] for cell in cells if not cell["changes"]]
    assert row["values"]["miou"] == {"0": values[0], "1": values[1]}
    assert row["summary"]["miou"] == {"mean": round(fmean(values), 4), "spread": round(stdev(values), 4)}
    assert row["gain"]["miou"]["mean"] == round(fmean(values) - fmean(others), 4)
    assert all(cell["failed"] is None and len(cell["figures"]["iou"]) == 19 for cell in cells)
    assert {cell["source_sha256"] for cell in cells} == {sha256_of(town / "source.safetensors")}
    assert f"| faster | {fmean(values):.1f} +- {stdev(values):.1f} |" in (whole / "out/methods.md").read_text()


def test_seeds_and_settings_change_results(whole: Path) -> None:
    scores = [json.dumps(cell["figures"]) for cell in cells_of(whole)]
    assert len(set(scores)) == 4


def test_cell_finds_what_adapt_and_its_report_find(
    whole: Path, make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_run(tmp_path, tables=["ablation"])
    assert adapt_main(["adapt", config, "--set", "seed=1"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    (cell,) = [cell for cell in cells_of(whole) if cell["seed"] == 1 and not cell["changes"]]
    assert figures["adapted_miou"] == cell["figures"]["miou"]
    assert figures["scores_after"] == cell["figures"]["scores"]


def test_labels_are_made_once_for_all_cells(whole: Path) -> None:
    (prepared,) = (whole / "out/prepared").glob("*/")
    made = [path.stat().st_mtime_ns for path in prepared.glob("*/*.png")]
    assert len(made) == 4
    assert max(made) < min(path.stat().st_mtime_ns for path in cell_files(whole))


def test_network_is_deleted_after_its_evaluation_unless_kept(whole: Path, make_run: MakeRun, tmp_path: Path) -> None:
    assert list(whole.rglob("adapted.safetensors")) == []
    assert len(list((whole / "out/methods/runs").rglob("metrics.jsonl"))) == 4
    assert main(["methods", make_run(tmp_path, seeds=[0], tables=[], iterations=2, keep_networks=True)]) == 0
    assert len(list((tmp_path / "out/methods/runs").rglob("adapted.safetensors"))) == 1
    (metrics,) = (tmp_path / "out/methods/runs").rglob("metrics.jsonl")
    assert len(metrics.read_text().splitlines()) == 2
    assert main(["methods", make_run(tmp_path, seeds=[0], tables=[], iterations=2)]) == 0
    assert len(list((tmp_path / "out/methods/runs").rglob("adapted.safetensors"))) == 1


def test_two_comparisons_do_not_write_into_one_output(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_run(tmp_path, seeds=[0], tables=[])
    folder = tmp_path / "out/methods"
    folder.mkdir(parents=True)
    with claimed(folder, "taken"):
        assert main(["methods", config]) == 1
    assert f"{folder} belongs to another comparison that runs" in capsys.readouterr().err
    assert [path.name for path in folder.rglob("*")] == ["cells"]


def test_ablation_stands_beside_the_rows_without_a_step(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_run(tmp_path, seeds=[3], tables=["ablation"])
    assert main(["methods", config]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = told["data"]["run"]
    titles = ["source only", "BN replaced", "BN half blended", "BN as chosen", "balanced"]
    titles += ["P", "P+IA", "P+IA+IM", "PS", "PE", "PS+PE", "all", "oracle"]
    assert list(figures["ablation"]) == titles
    assert (told["cells"], told["done"]) == (8, 8)
    assert adapt_main(["adapt", config, "--set", "seed=3"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    names = ("source_miou", "bn_miou", "bn_half_miou", "bn_chosen_miou", "balanced_miou")
    assert [figures["ablation"][title] for title in titles[:5]] == [report[name] for name in names]
    assert figures["ablation"]["all"] == report["adapted_miou"]
    rows = rows_of(tmp_path, "ablation")
    gain = rows["PE"]["values"]["miou"]["3"] - rows["source only"]["summary"]["miou"]["mean"]
    assert rows["PE"]["gain"]["miou"] == {"mean": pytest.approx(gain), "spread": None}
    assert rows["oracle"]["recovered"]["mean"] == pytest.approx(100.0)
    page = (tmp_path / "out/methods.md").read_text()
    assert "IoU of each class" in page
    assert "Labels of the test frames are read to fill these tables" in page
    assert "GTA5 -> Cityscapes" in page


def test_without_labels_tables_show_label_free_scores(make_run: MakeRun, tmp_path: Path) -> None:
    assert main(["methods", make_run(tmp_path, has_labels=False, **GRID)]) == 0
    assert document(tmp_path)["data"]["run"]["measures"] == [
        "mirror_agreement",
        "entropy",
        "neighbourhood_density",
        "num_classes",
    ]
    entropies = [cell["figures"]["scores"]["entropy"] for cell in cells_of(tmp_path) if not cell["changes"]]
    assert rows_of(tmp_path, "rows")["all"]["summary"]["entropy"]["mean"] == round(fmean(entropies), 4)
    page = (tmp_path / "out/methods.md").read_text()
    assert "No labelled test set" in page
    assert "| all | " in page
    assert "mIoU" not in page


def test_data_sets_stand_beside_each_other_and_share_cells_with_a_run_of_their_own(
    whole: Path, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare").mkdir()
    bare = Path(make_run(tmp_path / "bare", has_labels=False)).rename(tmp_path / "bare/other.yaml")
    config = make_run(tmp_path, **GRID | {"data": [str(whole / "run.yaml"), str(bare)], "seeds": [0]})
    assert main(["methods", config, "--set", "training.adaptation.temperature=1"]) == 2
    ran = stop_at(monkeypatch, 9)
    assert main(["methods", config, "--set", "training.workers=0"]) == 0
    assert ran == ["other: all, seed 0", "other: faster, seed 0"]
    assert [(name, one["measures"][0]) for name, one in document(tmp_path)["data"].items()] == [
        ("run", "miou"),
        ("other", "mirror_agreement"),
    ]
    page = (tmp_path / "out/methods.md").read_text()
    assert page.index("## run") < page.index("## other")
    assert not (tmp_path / "out/methods").exists()


def test_method_that_lacks_source_frames_is_told_and_not_started(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TentConfig, "needs", Needs(source=True))
    config = make_run(tmp_path, seeds=[0], tables=[], rows={"TENT": {"method": {"name": "tent"}}})
    assert main(["methods", config]) == 0
    row = rows_of(tmp_path, "rows")["TENT"]
    assert "learns from labelled source frames, and the config names none" in row["failed"]["0"]
    assert row["needs_source"]
    assert len(cell_files(tmp_path)) == 1


# Interrupted


def test_interrupted_comparison_goes_on_in_another_process_and_computes_nothing_twice(
    whole: Path, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_run(tmp_path, **GRID)
    with monkeypatch.context() as patch:
        ran = stop_at(patch, 4)
        assert main(["methods", config]) == 130
        assert ran == ["run: all, seed 0", "run: faster, seed 0", "run: all, seed 1"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*") if "methods." not in path.name}
    monkeypatch.setattr(benchmarks.methods.measure, "run_cells", run_cells)
    assert main(["methods", config, "--set", "methods.workers=2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert tables_of(tmp_path) == tables_of(whole)
    # Only a process of its own writes what it would tell into a file.
    assert len(list((tmp_path / "out/methods/runs").glob("*/log.txt"))) == 1


def test_finished_comparison_is_only_drawn_again(
    whole: Path, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole / "out", tmp_path / "out")
    (tmp_path / "out/methods.png").unlink()
    ran = stop_at(monkeypatch, 1)
    assert main(["methods", make_run(tmp_path, **GRID)]) == 0
    assert ran == []
    assert tables_of(tmp_path) == tables_of(whole)
    assert (tmp_path / "out/methods.png").read_bytes() == (whole / "out/methods.png").read_bytes()


def test_tables_of_the_first_seed_are_there_while_the_second_runs(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 3)
    assert main(["methods", make_run(tmp_path, **GRID)]) == 130
    row = rows_of(tmp_path, "rows")["faster"]
    assert list(row["values"]["miou"]) == ["0"]
    assert row["summary"]["miou"]["spread"] is None
    assert "2 of 4 cells done" in (tmp_path / "out/methods.md").read_text()
    assert (tmp_path / "out/methods.png").exists()


def test_cell_killed_before_its_result_is_written_is_evaluated_but_not_trained_again(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    config = make_run(tmp_path, seeds=[0], tables=[])
    with monkeypatch.context() as patch:
        patch.setattr(benchmarks.methods.cells.run_cell, "write_text", kill)
        assert main(["methods", config]) == 130
    (network,) = tmp_path.rglob("adapted.safetensors")
    (metrics,) = tmp_path.rglob("metrics.jsonl")
    trained = metrics.stat().st_mtime_ns
    assert main(["methods", config]) == 0
    assert metrics.stat().st_mtime_ns == trained
    assert not network.exists()
    assert document(tmp_path)["done"] == 1


def test_network_left_behind_by_a_kill_is_deleted_by_the_next_run(
    whole: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    shutil.copytree(whole / "out", tmp_path / "out")
    left = tmp_path / "out/methods/runs" / cell_files(whole)[0].stem / "adapted.safetensors"
    left.write_bytes(b"")
    assert main(["methods", make_run(tmp_path, **GRID)]) == 0
    assert not left.exists()


# Failed


def test_cell_whose_loss_is_not_finite_is_recorded_and_the_others_run(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hot = {"optimizer.learning_rate": 1e30, "iterations": 4}
    config = make_run(tmp_path, seeds=[0], tables=[], rows={"hot": hot, "faster": {"optimizer.learning_rate": 2e-4}})
    assert main(["methods", config]) == 0
    assert {key: document(tmp_path)[key] for key in ("cells", "done", "failed")} == {"cells": 3, "done": 2, "failed": 1}
    rows = rows_of(tmp_path, "rows")
    assert rows["hot"]["summary"]["miou"] == {"mean": None, "spread": None}
    assert "Lower the learning rate" in rows["hot"]["failed"]["0"]
    assert rows["faster"]["summary"]["miou"]["mean"] is not None
    assert "Failed: hot, seed 0: " in (tmp_path / "out/methods.md").read_text()
    ran = stop_at(monkeypatch, 1)
    assert main(["methods", config]) == 0
    assert ran == []


def test_damaged_frame_stops_the_comparison(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails for reasons outside of a cell would fail in every cell."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        Image.new("RGB", (96, 64)).save(frames / f"{number:03d}.png")
    (frames / "001.png").write_bytes(b"\x89PNG")
    target = f"training.target.adapt={{layout: folder, root: {frames}}}"
    assert main(["methods", make_run(tmp_path, **GRID), "--set", target]) == 1
    assert "001.png cannot be read" in capsys.readouterr().err
    assert cell_files(tmp_path) == []


def test_damaged_result_is_named(
    whole: Path, make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole / "out", tmp_path / "out")
    damaged = tmp_path / "out/methods/cells" / cell_files(whole)[2].name
    damaged.write_text('{"seed": 1')
    assert main(["methods", make_run(tmp_path, **GRID)]) == 1
    assert f"error: {damaged} is not the result of a cell" in capsys.readouterr().err


# Refused


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"warm": {"method.temprature": 1.0}},
            "row 'warm': unknown key 'method.temprature'; did you mean 'temperature'",
        ),
        ({"warm": {"metod.temperature": 1.0}}, "row 'warm': unknown key 'metod'; did you mean 'method'"),
        ({"warm": {"method.temperature": -1.0}}, "row 'warm': method.temperature: Input should be greater than 0"),
        ({"warm": {"iterations.x": 1}}, "row 'warm': 'iterations' is a value, not a group of keys"),
        ({"code": {"preset": "iapc_code"}}, "row 'code': a preset fills keys that a run file leaves out"),
        ({"all": {}}, "'all' is the method as configured"),
    ],
)
def test_row_that_cannot_be_run_is_refused_before_anything_is_computed(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: dict[str, Any], message: str
) -> None:
    assert main(["methods", make_run(tmp_path, rows=rows)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out/methods").exists()
    assert not (tmp_path / "out/prepared").exists()


@pytest.mark.parametrize(
    "override",
    [
        "methods.seeds=[0, 0]",
        "methods.tables=[ablation, ablation]",
        "methods.seeds=[]",
        "methods.data=[a/x.yaml, b/x.yaml]",
    ],
)
def test_empty_or_repeated_lists_are_refused(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str
) -> None:
    assert main(["methods", make_run(tmp_path), "--set", override]) == 2
    assert override.split("=")[0] in capsys.readouterr().err.replace("methods: ", "methods.")
