import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from benchmarks.__main__ import main
from benchmarks.config import BenchmarksConfig
from benchmarks.peers.measure import measure_peers
from benchmarks.rungs import Promise
from runtime.backends.packages import import_openvino
from runtime.errors import ConfigError, GateError
from tests.benchmarks.command_run import CommandRun, Exported, run_command, short_run, write_run_file
from training.data.config import StreetsConfig

HAS_OPENVINO = find_spec("openvino") is not None
HAS_NNCF = find_spec("nncf") is not None
TUTORIAL = "ONNX Runtime, as in tutorials"
OPENVINO = "OpenVINO, own conversion"


def of_peers(
    exported: Exported, frames: StreetsConfig, output: Path, peers: dict[str, Any], **values: Any
) -> BenchmarksConfig:
    peers = {"benchmark_app_s": 0, "only": (TUTORIAL,), **peers}
    return short_run(exported, frames, output, peers=peers, **{"num_rounds": 3, **values})


@pytest.fixture(scope="module")
def measured(
    exported_once: Exported, street_frames: StreetsConfig, tmp_path_factory: pytest.TempPathFactory
) -> CommandRun:
    folder = tmp_path_factory.mktemp("measured")
    test = street_frames.model_copy(update={"first": 1000, "count": 10})
    # Of random weights OpenVINO's bf16 may change the mean by some points.
    peers = {"benchmark_app_s": 1 if HAS_OPENVINO else 0, "only": None, "max_miou_loss": 30.0}
    config = of_peers(exported_once, street_frames, folder / "output", test=test, peers=peers)
    return run_command("peers", config, folder)


def test_every_peer_has_a_row_with_a_score_or_the_reason_why_not(measured: CommandRun) -> None:
    rows = measured.document["rows"]
    assert rows[0]["name"] == "PyTorch eager fp32"
    assert [row["name"] for row in rows if not row["is_ours"]][1:5] == [
        "PyTorch eager bf16",
        "torch.compile",
        "TorchScript",
        "PyTorch eager fp16, CUDA",
    ]
    for row in rows:
        assert (row["not_run"] is None) == bool(row["samples_ns"]), row["name"]
        assert row["refusal"] is None
    assert "YOLO" in measured.row(name="Ultralytics' exporter")["not_run"]


def test_float32_peers_give_the_labels_of_pytorch(measured: CommandRun) -> None:
    fp32 = [row for row in measured.document["rows"] if row["precision"] == "fp32" and row["samples_ns"]]
    assert {"torch.compile", "TorchScript", TUTORIAL} <= {row["name"] for row in fp32}
    assert all(row["label_agreement"] >= 0.999 for row in fp32)
    assert measured.document["num_compared"] == 3


def test_figures_of_a_row_follow_from_its_samples(measured: CommandRun) -> None:
    ours = next(row for row in measured.document["rows"] if row["is_ours"])
    tutorial = measured.row(name=TUTORIAL)
    for row in (ours, tutorial):
        assert row["percentiles_ms"]["p50"] == sorted(row["samples_ns"])[1] / 1e6
        assert row["percentiles_ms"]["p90"] is None
        assert row["max_ms"] == max(row["samples_ns"]) / 1e6
        assert row["floor_share"] == pytest.approx(
            max(row["floor"]["compute_ms"], row["floor"]["memory_ms"]) / row["percentiles_ms"]["p50"]
        )
    expected = tutorial["percentiles_ms"]["p50"] / ours["percentiles_ms"]["p50"]
    assert tutorial["ours_is_faster"]["value"] == pytest.approx(expected)
    assert measured.figures["speedup"][TUTORIAL] == round(expected, 3)
    assert measured.figures["ours"] == ours["name"]


def test_compiling_counts_as_the_first_frame(measured: CommandRun) -> None:
    row = measured.row(name="torch.compile")
    assert row["first_inference_ms"] > 2 * row["percentiles_ms"]["p50"]


def test_accuracy_is_that_of_labelled_frames(measured: CommandRun) -> None:
    assert measured.document["num_test_frames"] == 10
    assert measured.row(name="PyTorch eager fp32")["miou_change"] is None
    tutorial = measured.row(name=TUTORIAL)
    low, high = tutorial["miou_change_interval"]
    assert -0.1 < low <= tutorial["miou_change"] <= high < 0.1


@pytest.mark.parametrize("name", ["ONNX Runtime INT8, quantize_static", "OpenVINO INT8, NNCF"])
def test_integers_of_others_are_measured_too(measured: CommandRun, name: str) -> None:
    row = measured.row(name=name)
    if "NNCF" in name and not HAS_NNCF:
        pytest.skip("needs NNCF")
    assert row["precision"] == "int8"
    # Of random weights integers keep most labels and not all.
    assert 0.5 < row["label_agreement"] < 1.0
    assert row["ours_is_faster"]["value"] > 0.0


def test_what_gives_other_labels_than_it_promises_is_the_measure_of_nobody(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.peers.ours.promise_of", lambda *_: Promise(1.0, 1.01))
    config = of_peers(exported, street_frames, tmp_path, peers={}, num_rounds=1)
    with pytest.raises(GateError, match=r"not met: no score for .* expected at least 1\.010000") as refused:
        measure_peers(config)
    assert refused.value.figures is not None
    assert refused.value.figures["speedup"] == {}
    document = json.loads(Path(refused.value.figures["document"]).read_text())
    rows = {row["name"]: row for row in document["rows"]}
    assert rows[TUTORIAL]["samples_ns"]
    assert all(row["refusal"] and not row["samples_ns"] for row in rows.values() if row["is_ours"])


@pytest.mark.skipif(not HAS_OPENVINO, reason="needs OpenVINO")
def test_openvino_runs_its_own_conversion_and_its_own_tool(measured: CommandRun) -> None:
    assert measured.row(name="OpenVINO, own conversion")["samples_ns"]
    assert measured.document["benchmark_app_ms"] > 0


def test_page_terminal_and_picture_show_the_table(measured: CommandRun) -> None:
    page = Path(measured.figures["page"]).read_text()
    tutorial = measured.row(name=TUTORIAL)
    assert f"| {TUTORIAL} | fp32 | {tutorial['label_agreement']:.4%} | {tutorial['miou']:.2f} |" in page
    assert (
        "| not run: torch sees no CUDA device |" in page or measured.row(name="PyTorch eager fp16, CUDA")["samples_ns"]
    )
    assert "p90 ms" not in page
    assert "(peers.png)" in page
    assert f"- {TUTORIAL}: plain torch.onnx.export" in page
    assert "share of the floor" in measured.told
    assert Path(measured.figures["picture"]).read_bytes().startswith(b"\x89PNG")


def test_a_demand_that_is_not_met_is_told_with_exit_status_3(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = {"least_speedup": {TUTORIAL: 1e6}}
    config = of_peers(exported, street_frames, tmp_path / "output", num_rounds=2, peers=peers)
    run_file = write_run_file(tmp_path / "run.yaml", config)
    assert main(["peers", str(run_file)]) == 3
    out, err = capsys.readouterr()
    assert f"over {TUTORIAL}, at least 1000000.0x was demanded" in err
    figures = json.loads(out.splitlines()[-1])
    assert len(figures["unmet"]) == 1
    assert "Not met: " in Path(figures["page"]).read_text()


def test_a_bound_on_accuracy_needs_labels(exported: Exported, street_frames: StreetsConfig, tmp_path: Path) -> None:
    config = of_peers(exported, street_frames, tmp_path, peers={"max_miou_loss": 0.3})
    with pytest.raises(ConfigError, match=r"max_miou_loss needs labelled frames: set benchmarks\.test"):
        measure_peers(config)


@pytest.mark.parametrize("key", ["only", "least_speedup"])
def test_a_peer_that_there_is_not_is_refused_by_name(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, key: str
) -> None:
    named: Any = ("Caffe",) if key == "only" else {"Caffe": 2.0}
    config = of_peers(exported, street_frames, tmp_path, peers={key: named})
    with pytest.raises(ConfigError, match=rf"benchmarks\.peers\.{key} names Caffe, .*{TUTORIAL}"):
        measure_peers(config)


def test_gate_error_carries_the_figures(exported: Exported, street_frames: StreetsConfig, tmp_path: Path) -> None:
    config = of_peers(exported, street_frames, tmp_path, num_rounds=1, peers={"least_speedup": {TUTORIAL: 1e6}})
    with pytest.raises(GateError) as refused:
        measure_peers(config)
    assert refused.value.figures is not None
    assert Path(refused.value.figures["document"]).is_file()


@pytest.mark.parametrize(("threads", "told"), [(None, 0), (3, 3)])
def test_peers_are_told_a_number_of_threads_only_where_the_run_file_asks(
    exported: Exported,
    street_frames: StreetsConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int | None,
    told: int,
) -> None:
    peers = {"only": (TUTORIAL, OPENVINO) if HAS_OPENVINO else (TUTORIAL,), "benchmark_app_s": int(HAS_OPENVINO)}
    config = of_peers(exported, street_frames, tmp_path, peers, threads=threads, num_rounds=1)
    plain: list[int] = []
    settings: list[Any] = []
    commands: list[list[str]] = []
    open_session, run = onnxruntime.InferenceSession, subprocess.run

    def open_and_keep(model: str | bytes, options: Any, **more: Any) -> Any:
        # Ours are opened from bytes.
        plain.extend([options.intra_op_num_threads] if isinstance(model, str) else [])
        return open_session(model, options, **more)

    def run_and_keep(command: list[str], **more: Any) -> Any:
        commands.append(command)
        return run(command, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_and_keep)
    monkeypatch.setattr(subprocess, "run", run_and_keep)
    if HAS_OPENVINO:
        openvino = import_openvino()
        compile_model = openvino.compile_model

        def compile_and_keep(model: Any, device: str, options: dict[str, Any]) -> Any:
            settings.append(options.get("INFERENCE_NUM_THREADS", 0))
            return compile_model(model, device, options)

        monkeypatch.setattr(openvino, "compile_model", compile_and_keep)
    page = Path(measure_peers(config)["page"]).read_text()
    assert plain == [told]
    assert set(settings) == ({told} if HAS_OPENVINO else set())
    tools = [command for command in commands if "-hint" in command]
    assert len(tools) == int(HAS_OPENVINO)
    assert all(("-nthreads" in command) == bool(told) for command in tools)
    assert ("each engine's own default" in page) == (threads is None)
