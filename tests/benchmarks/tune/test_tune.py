import json
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import benchmarks.tune.measure
from benchmarks.__main__ import main
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import Segment
from benchmarks.reading import read_document
from benchmarks.tune.document import TuneDocument, TuneRow
from benchmarks.tune.measure import Runs, measure_tune, run_all
from benchmarks.tune.setting import Setting
from runtime.backends.config import CpuConfig, OpenVinoConfig
from runtime.bundle.opening import read_manifest
from runtime.config import load_config
from runtime.errors import BackendError, ConfigError, GateError
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from tests.benchmarks.command_run import Exported, short_run, write_run_file
from training.data.config import StreetsConfig

HAS_OPENVINO = find_spec("openvino") is not None
FRAME = np.zeros((4, 6, 3), dtype=np.uint8)
RIGHT = np.ones((4, 6), dtype=np.uint8)
WRONG = np.zeros((4, 6), dtype=np.uint8)


def of_tune(exported: Exported, frames: StreetsConfig, output: Path, **values: Any) -> BenchmarksConfig:
    return short_run(
        exported, frames, output, **{"num_rounds": 3, "threads": None, "tune": {"threads": (1,)}, **values}
    )


class Measured(NamedTuple):
    """A run by command line: key figures, stderr, and the document."""

    figures: dict[str, Any]
    told: str
    document: TuneDocument

    def rows(self) -> Sequence[TuneRow]:
        return (*self.document.pairs, *self.document.options, *self.document.last)


@pytest.fixture
def measured(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Measured:
    config = of_tune(exported, street_frames, tmp_path / "output")
    assert main(["tune", str(write_run_file(tmp_path / "run.yaml", config))]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out.splitlines()[-1])
    return Measured(figures, err, read_document(Path(figures["document"]), TuneDocument, "tune"))


def test_the_command_tries_measures_and_tells(
    measured: Measured, exported: Exported, street_frames: StreetsConfig, tmp_path: Path
) -> None:
    document, figures = measured.document, measured.figures
    pairs = {row.setting: row for row in document.pairs}
    assert {"fp32.onnx in cpu", "fp32-logits.onnx in cpu"} <= set(pairs)
    assert ("fp32.onnx in openvino fp32" in pairs) == HAS_OPENVINO
    options = {row.setting for row in document.options}
    assert any(name.endswith("in cpu, threads=1") for name in options)
    assert any(name.endswith("in cpu, is_spinning=true") for name in options)
    assert any("openvino" in name and name.endswith(", threads=1") for name in options) == HAS_OPENVINO

    for row in measured.rows():
        assert (row.refusal is None) == bool(row.samples_ns), row.setting
        if row.samples_ns:
            assert row.median_ms == sorted(row.samples_ns)[1] / 1e6
            assert row.p90_ms is None
            assert row.cpu_ms is not None
            assert (row.against is None) == (row.ratio is None)
    for run in (document.pairs, document.options, document.last):
        assert {row.against for row in run} - {None} <= {row.setting for row in run}
    assert pairs["fp32.onnx in cpu"].label_agreement == 1.0
    assert document.num_compared == 3
    assert TuneDocument.model_validate_json(document.model_dump_json()) == document

    best = document.row(document.best)
    assert best is not None
    assert best.median_ms is not None
    assert figures["best"] == {"artefact": best.artefact, "backend": best.backend.model_dump(mode="json")}
    assert figures["median_ms"] == round(best.median_ms, 3)
    assert document.default in pairs
    assert (document.best == document.default) == (figures["interval"] == [1.0, 1.0])

    snippet = tmp_path / "snippet.yaml"
    snippet.write_text(figures["runtime_yaml"])
    runtime = load_config(snippet, "runtime", RuntimeConfig)
    assert (runtime.backend, runtime.artefact) == (best.backend, best.artefact)
    with Segmenter.open(exported.bundle, runtime) as segmenter:
        assert segmenter.artefact is not None

    page = Path(figures["page"]).read_text()
    assert f"```yaml\n{figures['runtime_yaml']}```\n" in page
    assert figures["runtime_yaml"].rstrip() in measured.told
    for shown in ("fp32-logits.onnx in cpu", "CPU ms a frame", "is_spinning", "(tune.json)", "(tune.png)"):
        assert shown in page
    assert "p90 ms" not in page
    assert Path(figures["picture"]).read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "output" / "tune.config.json").read_text())["tune"]["threads"] == [1]


def test_only_what_the_config_names_is_tried(exported: Exported, street_frames: StreetsConfig, tmp_path: Path) -> None:
    tune = {"artefacts": ("fp32-logits.onnx",), "threads": (1,)}
    figures = measure_tune(of_tune(exported, street_frames, tmp_path / "out", num_rounds=1, threads=1, tune=tune))
    document: TuneDocument = read_document(Path(figures["document"]), TuneDocument, "tune")
    assert {row.artefact for row in (*document.pairs, *document.options)} == {"fp32-logits.onnx"}
    # What the section asks of every contender is the default here, and stays in what comes out.
    assert all(getattr(row.backend, "threads", 1) == 1 for row in document.pairs)
    assert "threads: 1" in figures["runtime_yaml"]
    told = "own choice (`backend.provider: auto`, among fp32-logits.onnx, which `tune.artefacts` names)"
    assert told in Path(figures["page"]).read_text()


def test_an_artefact_that_there_is_not_is_refused_by_name(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path
) -> None:
    config = of_tune(exported, street_frames, tmp_path / "out", tune={"artefacts": ("fp32-logit.onnx",)})
    with pytest.raises(ConfigError, match=r"tune\.artefacts names fp32-logit\.onnx.*mean 'fp32-logits\.onnx'"):
        measure_tune(config)
    assert not (tmp_path / "out").exists()


def test_an_artefact_that_nothing_here_serves_is_told_with_the_reason(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path
) -> None:
    config = of_tune(exported, street_frames, tmp_path / "out", tune={"artefacts": ("fp32.torchscript",)})
    with pytest.raises(BackendError, match=r"no engine of this machine serves fp32\.torchscript of bundle"):
        measure_tune(config)


@pytest.mark.parametrize("tune", [{"artefacts": ()}, {"threads": ()}, {"threads": (0,)}, {"thread": (1,)}])
def test_settings_without_a_meaning_are_refused(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, tune: Any
) -> None:
    with pytest.raises(ValueError, match=r"tune\.thread|tune\.artefacts"):
        of_tune(exported, street_frames, tmp_path, tune=tune)


def test_where_all_labels_are_others_nothing_has_a_score(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_labels(config: Any, manifest: Any, frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        return [np.full(frame.shape[:2], 255, dtype=np.uint8) for frame in frames]

    monkeypatch.setattr(benchmarks.tune.measure, "pytorch_labels", other_labels)
    config = of_tune(exported, street_frames, tmp_path / "out", num_rounds=1)
    with pytest.raises(GateError, match="nothing that runs bundle") as refused:
        measure_tune(config)
    assert refused.value.figures is not None
    assert refused.value.figures["best"] is None
    page = Path(refused.value.figures["page"]).read_text()
    assert "no score: label agreement 0.000000, expected at least 0.97" in page
    assert "Nothing that runs here has a score." in page


class Fakes:
    """Engines that answer at once; some give other labels, some do not open."""

    def __init__(self, *, wrong: Sequence[str] = (), closed: Sequence[str] = ()) -> None:
        self.wrong, self.closed = wrong, closed
        self.opened: list[str] = []

    def open(self, setting: Setting, stack: ExitStack) -> Segment:
        self.opened.append(setting.name)
        if setting.name in self.closed:
            raise BackendError(f"{setting.name} does not open")
        labels = WRONG if setting.name in self.wrong else RIGHT
        return lambda frame: labels


@pytest.fixture
def run_fakes(exported_once: Exported, street_frames: StreetsConfig, tmp_path: Path) -> Any:
    artefact = read_manifest(exported_once.bundle).artefacts[0]
    settings = [Setting(artefact, backend) for backend in (CpuConfig(), OpenVinoConfig(precision="bf16"))]

    def run(fakes: Fakes, chosen: int = 0) -> Runs:
        config = of_tune(exported_once, street_frames, tmp_path, num_rounds=2)
        return run_all(settings, settings[chosen], (1, 2), fakes.open, [FRAME], [RIGHT], config)

    return run


def test_an_option_that_changes_labels_or_does_not_open_has_no_score(run_fakes: Any) -> None:
    wrong, closed = "fp32.onnx in cpu, is_spinning=true", "fp32.onnx in openvino fp32"
    runs: Runs = run_fakes(Fakes(wrong=[wrong], closed=[closed]))
    refusals = {trial.setting.name: trial.refusal for trial in runs.options if trial.refusal is not None}
    assert set(refusals) == {wrong, closed}
    assert refusals[wrong].startswith("label agreement 0.000000, expected at least")
    assert refusals[closed] == f"{closed} does not open"
    assert all(trial.setting.name not in (wrong, closed) for trial in runs.last)


def test_a_base_comes_before_its_variants_once_each(run_fakes: Any) -> None:
    runs: Runs = run_fakes(Fakes())
    names = [trial.setting.name for trial in runs.options]
    assert len(names) == len(set(names)) == 8
    cpu = names.index("fp32.onnx in cpu")
    assert names[cpu + 1 : cpu + 4] == [
        f"fp32.onnx in cpu, {option}" for option in ("threads=1", "threads=2", "is_spinning=true")
    ]


def test_where_the_runtimes_choice_has_no_score_the_default_is_one_that_has(run_fakes: Any) -> None:
    runs: Runs = run_fakes(Fakes(wrong=["fp32.onnx in openvino bf16"]), chosen=1)
    assert runs.default is not None
    assert runs.default.setting.name == "fp32.onnx in cpu"


def test_nothing_is_varied_where_no_pair_has_a_score(run_fakes: Any) -> None:
    fakes = Fakes(wrong=["fp32.onnx in openvino bf16"], closed=["fp32.onnx in cpu"])
    runs: Runs = run_fakes(fakes)
    assert runs.best is None
    assert not runs.options
    assert len(fakes.opened) == 2


def test_a_busy_machine_is_told_of(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (3.5, 0.0, 0.0))
    tune = {"artefacts": ("fp32.onnx",), "threads": (1,)}
    figures = measure_tune(of_tune(exported, street_frames, tmp_path / "out", num_rounds=1, tune=tune))
    assert "busy before the run: 3.5 processes wanted a core" in Path(figures["page"]).read_text()
