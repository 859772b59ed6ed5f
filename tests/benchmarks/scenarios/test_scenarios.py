import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.config import BenchmarksConfig
from benchmarks.scenarios import measure as room
from benchmarks.scenarios.config import ScenariosConfig
from benchmarks.scenarios.document import ScenariosDocument
from benchmarks.scenarios.measure import measure_scenarios
from benchmarks.scenarios.served import ServedBundle, choose_engine
from runtime.config import validated
from runtime.errors import BundleError, ConfigError
from tests.benchmarks.command_run import Exported, run_command, short_run, write_run_file
from training.data.config import StreetsConfig

SHORT = {
    "backend": {"provider": "cpu"},
    "offline": {"batch_sizes": [1, 2], "round_frames": 4, "num_rounds": 2},
    "camera": {"rates_hz": [20, 100], "num_frames": 12},
    "multi_camera": {"rates_hz": [40, 20], "num_frames": 6},
    "contention": {"num_blocks": 2, "block_queries": 3},
    "num_starts": 1,
    "resume": {"idle_s": 0.002, "num_pauses": 2, "run_queries": 3},
}


def of_scenarios(exported: Exported, frames: StreetsConfig, folder: Path, **scenarios: Any) -> BenchmarksConfig:
    options = ScenariosConfig(**{**SHORT, **scenarios})
    return short_run(exported, frames, folder / "output", threads=2, num_queries=10, scenarios=options)


def run_file_of(exported: Exported, frames: StreetsConfig, folder: Path, **scenarios: Any) -> Path:
    return write_run_file(folder / "run.yaml", of_scenarios(exported, frames, folder, **scenarios))


class Measured(NamedTuple):
    """A run by command line of every scenario."""

    lines: list[str]
    told: str
    document: ScenariosDocument

    @property
    def figures(self) -> dict[str, Any]:
        return dict(json.loads(self.lines[-1]))


@pytest.fixture(scope="module")
def measured(
    exported_once: Exported, street_frames: StreetsConfig, tmp_path_factory: pytest.TempPathFactory
) -> Measured:
    folder = tmp_path_factory.mktemp("scenarios")
    run = run_command("scenarios", of_scenarios(exported_once, street_frames, folder), folder)
    return Measured(run.lines, run.told, ScenariosDocument.model_validate_json(json.dumps(run.document)))


def test_first_line_says_what_runs_and_last_line_what_was_found(measured: Measured, exported_once: Exported) -> None:
    assert len(measured.lines) == 2
    context = json.loads(measured.lines[0])
    assert list(context) == ["command", "bundle", "artefact", "engine", "cpu", "threads", "revision"]
    assert (context["command"], context["bundle"]) == ("scenarios", str(exported_once.bundle))
    assert (context["artefact"], context["engine"], context["threads"]) == ("fp32.onnx", "cpu", 2)
    assert measured.figures["unmet"] == []
    assert measured.figures["camera_20"]["published"] == measured.document.cameras[0].counters["num_published"]


def test_every_scenario_has_figures_and_labels_that_did_not_change(measured: Measured) -> None:
    document = measured.document
    assert document.single_stream is not None
    assert document.offline is not None
    assert document.contention is not None
    assert document.cold_start is not None
    assert document.resume is not None
    assert len(document.single_stream.times.samples_ns) == 10
    assert [camera.rate_hz for camera in document.cameras] == [20, 100]
    assert document.cold_start.ready_ms == pytest.approx(sum(document.cold_start.stages_ms.values()))
    checked = [document.single_stream.checked, document.contention.checked, document.resume.checked]
    checked += [row.checked for row in document.offline.rows]
    checked += [camera.checked for camera in (*document.cameras, *document.multi_camera) if camera.checked is not None]
    assert len(checked) == 3 + 4 + 4
    assert all(found.label_agreement >= 0.9999 for found in checked)


def test_offline_compares_engines_that_share_the_threads_with_batches(measured: Measured) -> None:
    offline = measured.document.offline
    assert offline is not None
    assert [(row.num_engines, row.threads, row.batch_size, row.is_ours) for row in offline.rows] == [
        (1, 2, 1, True),
        (2, 1, 1, True),
        (1, 2, 1, False),
        (1, 2, 2, False),
    ]
    for row in offline.rows:
        assert len(row.rounds_ns) == 2
        assert row.frames_per_s == pytest.approx(8e9 / sum(row.rounds_ns))
    assert [row.against_first is None for row in offline.rows] == [True, False, False, False]


def test_each_camera_of_several_has_a_process_of_its_own_and_exact_counters(measured: Measured) -> None:
    assert [camera.rate_hz for camera in measured.document.multi_camera] == [40, 20]
    for camera in (*measured.document.cameras, *measured.document.multi_camera):
        counters = camera.counters
        assert camera.num_frames == counters["num_captured"] + counters["num_lost"]
        ended = counters["num_published"] + counters["num_dropped"] + counters["num_withheld"]
        assert counters["num_captured"] == ended
    assert {camera.threads for camera in measured.document.multi_camera} == {1}


def test_page_terminal_and_picture_show_every_scenario(measured: Measured) -> None:
    page = Path(measured.figures["page"]).read_text()
    for title in (
        "Single stream",
        "Offline",
        "Camera",
        "Several cameras at once",
        "Contention",
        "Cold start",
        "Resume after idle",
    ):
        assert f"## {title}" in page
        assert title in measured.told
    assert "(scenarios.png)" in page
    assert "a short run" in page
    # Ten samples are enough for a median alone.
    single = measured.document.single_stream
    assert single is not None
    median_ms = sorted(single.times.samples_ns)[5] / 1e6
    assert f"| frame to labels | {median_ms:.2f} | - | - | - | - | {single.times.max_ms:.2f} |" in page
    assert Path(measured.figures["picture"]).read_bytes().startswith(b"\x89PNG")


def test_scenarios_that_are_left_out_do_not_run(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenarios", str(run_file_of(exported, street_frames, tmp_path, only=["resume"]))]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    document = ScenariosDocument.model_validate_json(Path(figures["document"]).read_text())
    assert document.resume is not None
    assert (document.single_stream, document.offline) == (None, None)
    assert (document.contention, document.cold_start) == (None, None)
    assert document.cameras == document.multi_camera == ()
    assert "picture" not in figures


def test_budgets_that_are_not_met_are_written_and_told_with_exit_status_3(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets = {
        "single_stream": {"percentiles_ms": {"p50": 1e-6, "p99": 1e6}, "max_ms": 1e6, "frames_per_s": 1e9},
        "camera": {20: {"missed_share": 1.0}, 100: {"percentiles_ms": {"p50": 1e-6}}},
    }
    run_file = run_file_of(exported, street_frames, tmp_path, only=["single_stream", "camera"], budgets=budgets)
    assert main(["scenarios", str(run_file)]) == 3
    out, err = capsys.readouterr()
    unmet = json.loads(out.splitlines()[-1])["unmet"]
    assert [line.split(",")[0].rsplit(" ", 1)[0] for line in (unmet[0], unmet[2], unmet[3])] == [
        "single_stream: p50 ms",
        "single_stream: frames a second",
        "camera of 100 Hz: p50 ms",
    ]
    assert unmet[1] == "single_stream: p99 needs 662 samples, there are 10; at most 1e+06 ms was demanded"
    assert len(unmet) == 4
    assert "budgets of benchmarks.scenarios that are not met" in err
    assert f"- Not met: {unmet[1]}." in (tmp_path / "output" / "scenarios.md").read_text()


def test_budgets_that_are_met_are_no_news(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets = {"resume": {"slowdown": 1e9, "max_ms": 1e9}}
    run_file = run_file_of(exported, street_frames, tmp_path, only=["resume"], budgets=budgets)
    assert main(["scenarios", str(run_file)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["unmet"] == []


def test_labels_that_change_end_with_exit_status_3_and_no_document(
    exported: Exported,
    street_frames: StreetsConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    make_segmenter: Callable[..., Any],
) -> None:
    monkeypatch.setattr(ServedBundle, "open", lambda served: make_segmenter(changes_at=4))
    assert main(["scenarios", str(run_file_of(exported, street_frames, tmp_path, only=["single_stream"]))]) == 3
    out, err = capsys.readouterr()
    assert "single_stream: labels changed while the time was taken" in err
    assert len(out.splitlines()) == 1
    assert not (tmp_path / "output" / "scenarios.json").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"only": ["resume"], "budgets": {"offline": {"frames_per_s": 1}}}, r"budgets\.offline bounds a scenario that"),
        ({"budgets": {"camera": {15: {"missed_share": 0.1}}}}, r"a camera of 15 Hz, which does not run"),
        ({"budgets": {"camera": {20: {"p90": 50}}}}, r"unknown key '.*p90'"),
        ({"offline": {"batch_sizes": [3], "round_frames": 8}}, r"round_frames=8 is no multiple of the batch size 3"),
        ({"camera": {"rates_hz": [10, 10]}}, "name each rate once"),
        ({"only": ["idle"]}, "only"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validated(ScenariosConfig, values, place="here")


def test_more_engines_than_threads_are_refused_before_anything_is_timed(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path
) -> None:
    config = BenchmarksConfig(
        bundle=exported.bundle,
        checkpoint=exported.checkpoint,
        frames=street_frames,
        output=tmp_path,
        threads=1,
        scenarios=ScenariosConfig.model_validate({**SHORT, "offline": {"engines": [1, 2]}}),
    )
    with pytest.raises(ConfigError, match=r"offline\.engines=\[1, 2\] asks for more engines than there are threads, 1"):
        measure_scenarios(config)


def test_a_camera_whose_process_fails_is_told_and_ends_the_others(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(config: BenchmarksConfig) -> Any:
        served = choose_engine(config)
        (exported.bundle / "fp32.onnx").write_bytes(b"")
        return served

    monkeypatch.setattr(room, "choose_engine", choose)
    run_file = run_file_of(exported, street_frames, tmp_path, only=["multi_camera"])
    config = BenchmarksConfig.model_validate(yaml.safe_load(run_file.read_text())["benchmarks"])
    with pytest.raises(BundleError, match=r"fp32\.onnx"):
        measure_scenarios(config)
