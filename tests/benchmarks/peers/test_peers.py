import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.config import BenchmarksConfig
from benchmarks.peers.measure import measure_peers
from runtime.errors import ConfigError, GateError
from training.data.config import StreetsConfig

ROOT = Path(__file__).parents[3]
HAS_OPENVINO = find_spec("openvino") is not None
TUTORIAL = "ONNX Runtime, as in tutorials"


class Exported(Protocol):
    @property
    def checkpoint(self) -> Path: ...
    @property
    def bundle(self) -> Path: ...


def short_run(exported: Exported, frames: StreetsConfig, output: Path, **values: Any) -> BenchmarksConfig:
    peers = {"benchmark_app_s": 0, "only": (TUTORIAL,), **values.pop("peers", {})}
    return BenchmarksConfig(
        bundle=exported.bundle,
        checkpoint=exported.checkpoint,
        frames=frames,
        output=output,
        warmup=1,
        threads=1,
        peers=peers,
        **{"num_rounds": 3, **values},
    )


class Measured(NamedTuple):
    """A run by command line with every peer: key figures, stderr, and the document."""

    figures: dict[str, Any]
    told: str
    document: dict[str, Any]

    def row(self, name: str) -> dict[str, Any]:
        (row,) = (row for row in self.document["rows"] if row["name"] == name)
        return dict(row)


@pytest.fixture(scope="module")
def measured(
    exported_once: Exported, street_frames: StreetsConfig, tmp_path_factory: pytest.TempPathFactory
) -> Measured:
    folder = tmp_path_factory.mktemp("measured")
    test = street_frames.model_copy(update={"first": 1000, "count": 2})
    # Of random weights OpenVINO's bf16 may change the mean by some points.
    peers = {"benchmark_app_s": 1 if HAS_OPENVINO else 0, "only": None, "max_miou_loss": 30.0}
    config = short_run(exported_once, street_frames, folder / "output", test=test, peers=peers)
    run_file = folder / "run.yaml"
    run_file.write_text(yaml.safe_dump({"benchmarks": config.model_dump(mode="json")}))
    command = [sys.executable, "-m", "benchmarks", "peers", str(run_file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    return Measured(figures, done.stderr, json.loads(Path(figures["document"]).read_text()))


def test_every_peer_has_a_row_with_a_score_or_the_reason_why_not(measured: Measured) -> None:
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
    assert "YOLO" in measured.row("Ultralytics' exporter")["not_run"]


def test_float32_peers_give_the_labels_of_pytorch(measured: Measured) -> None:
    fp32 = [row for row in measured.document["rows"] if row["precision"] == "fp32" and row["samples_ns"]]
    assert {"torch.compile", "TorchScript", TUTORIAL} <= {row["name"] for row in fp32}
    assert all(row["label_agreement"] >= 0.999 for row in fp32)
    assert measured.document["num_compared"] == 3


def test_figures_of_a_row_follow_from_its_samples(measured: Measured) -> None:
    ours = next(row for row in measured.document["rows"] if row["is_ours"])
    tutorial = measured.row(TUTORIAL)
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


def test_compiling_counts_as_the_first_frame(measured: Measured) -> None:
    row = measured.row("torch.compile")
    assert row["first_inference_ms"] > 2 * row["percentiles_ms"]["p50"]


def test_accuracy_is_that_of_labelled_frames(measured: Measured) -> None:
    assert measured.document["num_test_frames"] == 2
    assert measured.row("PyTorch eager fp32")["miou_change"] is None
    assert abs(measured.row(TUTORIAL)["miou_change"]) < 0.05


@pytest.mark.skipif(not HAS_OPENVINO, reason="needs OpenVINO")
def test_openvino_runs_its_own_conversion_and_its_own_tool(measured: Measured) -> None:
    assert measured.row("OpenVINO, own conversion")["samples_ns"]
    assert measured.document["benchmark_app_ms"] > 0


def test_page_terminal_and_picture_show_the_table(measured: Measured) -> None:
    page = Path(measured.figures["page"]).read_text()
    tutorial = measured.row(TUTORIAL)
    assert f"| {TUTORIAL} | fp32 | {tutorial['label_agreement']:.4%} | {tutorial['miou']:.2f} |" in page
    assert "| not run: torch sees no CUDA device |" in page or measured.row("PyTorch eager fp16, CUDA")["samples_ns"]
    assert "p90 ms" not in page
    assert "(peers.png)" in page
    assert f"- {TUTORIAL}: plain torch.onnx.export" in page
    assert "share of the floor" in measured.told
    assert Path(measured.figures["picture"]).read_bytes().startswith(b"\x89PNG")


def test_a_demand_that_is_not_met_is_told_with_exit_status_3(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = {"least_speedup": {TUTORIAL: 1e6}}
    config = short_run(exported, street_frames, tmp_path / "output", num_rounds=2, peers=peers)
    run_file = tmp_path / "run.yaml"
    run_file.write_text(yaml.safe_dump({"benchmarks": config.model_dump(mode="json")}))
    assert main(["peers", str(run_file)]) == 3
    out, err = capsys.readouterr()
    assert f"over {TUTORIAL}, at least 1000000.0x was demanded" in err
    figures = json.loads(out.splitlines()[-1])
    assert len(figures["unmet"]) == 1
    assert "Not met: " in Path(figures["page"]).read_text()


def test_a_bound_on_accuracy_needs_labels(exported: Exported, street_frames: StreetsConfig, tmp_path: Path) -> None:
    config = short_run(exported, street_frames, tmp_path, peers={"max_miou_loss": 0.3})
    with pytest.raises(ConfigError, match=r"max_miou_loss needs labelled frames: set benchmarks\.test"):
        measure_peers(config)


@pytest.mark.parametrize("key", ["only", "least_speedup"])
def test_a_peer_that_there_is_not_is_refused_by_name(
    exported: Exported, street_frames: StreetsConfig, tmp_path: Path, key: str
) -> None:
    named: Any = ("Caffe",) if key == "only" else {"Caffe": 2.0}
    config = short_run(exported, street_frames, tmp_path, peers={key: named})
    with pytest.raises(ConfigError, match=rf"benchmarks\.peers\.{key} names Caffe, .*{TUTORIAL}"):
        measure_peers(config)


def test_gate_error_carries_the_figures(exported: Exported, street_frames: StreetsConfig, tmp_path: Path) -> None:
    config = short_run(exported, street_frames, tmp_path, num_rounds=1, peers={"least_speedup": {TUTORIAL: 1e6}})
    with pytest.raises(GateError) as refused:
        measure_peers(config)
    assert refused.value.figures is not None
    assert Path(refused.value.figures["document"]).is_file()
