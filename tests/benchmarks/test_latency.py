import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.config import BenchmarksConfig
from benchmarks.latency import measure_latency
from runtime.errors import CheckpointError, ConfigError, FrameError, GateError
from runtime.files import sha256_of
from tests.benchmarks.command_run import CommandRun, Exported, run_command, short_run
from training.checkpoint import load_network, save_network
from training.data.config import StreetsConfig


@pytest.fixture
def config(exported: Exported, street_frames: StreetsConfig, tmp_path: Path) -> BenchmarksConfig:
    return short_run(exported, street_frames, tmp_path / "output", num_queries=7)


def rotate_classes(checkpoint: Path) -> None:
    """Replaces the network by one that calls each class by the next class's name."""
    network, spec = load_network(checkpoint)
    with torch.no_grad():
        for parameter in network.get_submodule(network.head).parameters():
            parameter.copy_(parameter.roll(1, dims=0))
    save_network(checkpoint, network, spec)


def edit_provenance(bundle: Path, **changes: str) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["provenance"].update(changes)
    path.write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def measured(
    exported_once: Exported, street_frames: StreetsConfig, tmp_path_factory: pytest.TempPathFactory
) -> CommandRun:
    folder = tmp_path_factory.mktemp("measured")
    config = short_run(exported_once, street_frames, folder / "output", num_queries=7)
    found = run_command("latency", config, folder, "--set", "num_queries=9")
    assert "PyTorch eager fp32" in found.told
    return found


def test_command_measures_both_contenders_on_the_same_queries(measured: CommandRun) -> None:
    config, figures, document = measured.config, measured.figures, measured.document
    assert figures["document"] == str(config.output / "latency.json")
    assert set(figures) == {"latency_ms", "speedup_p50", "speedup_interval", "label_agreement", "document"}
    for side in ("ours", "peer"):
        found, samples_ns = document[side], np.array(document[side]["samples_ns"])
        assert samples_ns.shape == (9,)
        assert samples_ns.dtype == np.int64
        assert found["max_ms"] == samples_ns[found["max_query"]] / 1e6 == samples_ns.max() / 1e6
        p50 = round(float(np.sort(samples_ns)[4]) / 1e6, 3)
        assert figures["latency_ms"][side] == {"p50": p50, "p90": None, "p99": None, "max": round(found["max_ms"], 3)}
        assert found["first_inference_ms"] > 0
        assert found["load_ms"] > 0
    assert figures["label_agreement"] >= 0.9999
    assert document["num_compared"] == 2
    low, high = document["speedup_interval"]
    assert 0 < low <= document["speedup_p50"] <= high


def test_document_says_where_and_on_what_it_was_measured(measured: CommandRun) -> None:
    config, document = measured.config, measured.document
    assert document["manifest_sha256"] == sha256_of(config.bundle / "manifest.json")
    assert document["checkpoint_sha256"] == sha256_of(config.checkpoint)
    assert document["frames"] == [f"streets-target-{seed:06d}" for seed in range(3)]
    assert document["config"]["num_queries"] == document["num_queries"] == 9
    environment = document["environment"]
    assert environment["threads"] == 1
    assert environment["torch"] == torch.__version__
    assert {"cpu", "cores", "python", "numpy", "onnxruntime", "revision"} <= environment.keys()


def test_checkpoint_of_another_bundle_is_refused(config: BenchmarksConfig) -> None:
    promised = sha256_of(config.checkpoint)
    rotate_classes(config.checkpoint)
    message = rf"not made from checkpoint .*network\.safetensors.*from {promised[:12]}.*run `make export` again"
    with pytest.raises(ConfigError, match=message):
        measure_latency(config)
    assert not config.output.exists()


def test_bundle_with_wrong_labels_has_no_score(config: BenchmarksConfig) -> None:
    rotate_classes(config.checkpoint)
    edit_provenance(config.bundle, checkpoint_sha256=sha256_of(config.checkpoint))
    threads = torch.get_num_threads()
    with pytest.raises(GateError, match=r"different labels: agreement 0\.\d+ over 1 timed queries, expected"):
        measure_latency(config)
    assert list(config.output.iterdir()) == []
    assert torch.get_num_threads() == threads


def test_missing_checkpoint_is_named(config: BenchmarksConfig) -> None:
    config.checkpoint.unlink()
    with pytest.raises(CheckpointError, match=r"network\.safetensors does not exist; run `make adapt`"):
        measure_latency(config)


def test_frames_of_another_size_are_refused_by_name(config: BenchmarksConfig) -> None:
    assert isinstance(config.frames, StreetsConfig)
    taller = config.model_copy(update={"frames": config.frames.model_copy(update={"height": 72})})
    with pytest.raises(FrameError, match=r"streets-target-000000 has shape \(72, 96, 3\).*\(64, 96, 3\)"):
        measure_latency(taller)
