"""`adapt` in two processes under torchrun: the labels, losses and weights of one, one report, one error."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

from training.__main__ import main
from training.checkpoint import read_network, read_tensors

TIME_LIMIT_S = 120
STEPS = 8
MakeSettings = Callable[..., dict[str, Any]]
StartTwo = Callable[..., subprocess.Popen[str]]
RunTwo = Callable[..., subprocess.CompletedProcess[str]]


def write_run(world: Path, make_settings: MakeSettings, output: Path, **changes: Any) -> str:
    """A run of gentle steps from the source's statistics, so that differences of rounding stay small.

    It has every term that looks across images.
    """
    gentle = {
        "method": {"name": "iapc", "ema_momentum": 0.9, "diversity": 0.1},
        "statistics_share": 0.0,
        "optimizer": {"learning_rate": 1e-4, "warmup": 0, "horizon": 100},
        "iterations": STEPS,
        "batch_size": 4,
    }
    settings = make_settings(world, output, **{**gentle, **changes})
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump({"training": settings}))
    return str(path)


@pytest.fixture(scope="module")
def alone(world: Path, make_settings: MakeSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of one process."""
    output = tmp_path_factory.mktemp("alone") / "out"
    assert main(["adapt", write_run(world, make_settings, output)]) == 0
    return output


class Together(NamedTuple):
    output: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def together(
    world: Path, make_settings: MakeSettings, run_two: RunTwo, tmp_path_factory: pytest.TempPathFactory
) -> Together:
    """Output of two processes."""
    output = tmp_path_factory.mktemp("together") / "out"
    done = run_two("-m", "training", "adapt", write_run(world, make_settings, output))
    assert done.returncode == 0, done.stderr
    return Together(output, done)


def metrics_of(output: Path) -> list[dict[str, float]]:
    (path,) = output.glob("adapt/*/metrics.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_s"} for line in lines]


def assert_same_losses(first: Path, second: Path) -> None:
    """Losses of every step, but for the order of float32 sums."""
    assert [line["step"] for line in metrics_of(first)] == list(range(STEPS))
    for found, wanted in zip(metrics_of(first), metrics_of(second), strict=True):
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6), found["step"]


def test_two_processes_have_the_losses_and_weights_of_one(alone: Path, together: Together) -> None:
    assert_same_losses(together.output, alone)
    tensors, others = (read_tensors(output / "adapted.safetensors")[0] for output in (together.output, alone))
    for name, tensor in tensors.items():
        assert torch.allclose(tensor, others[name], rtol=1e-4, atol=1e-5), name
    spec, expected = (read_network(output / "adapted.safetensors")[1] for output in (together.output, alone))
    assert spec.provenance["settings"] == expected.provenance["settings"]
    assert spec.provenance["scores_before"] == expected.provenance["scores_before"]


def test_shares_chosen_for_two_processes_are_those_of_one(
    world: Path, make_settings: MakeSettings, run_two: RunTwo, tmp_path: Path
) -> None:
    changes = {"statistics_share": "auto", "iterations": 1}
    assert main(["adapt", write_run(world, make_settings, tmp_path / "alone", **changes)]) == 0
    done = run_two("-m", "training", "adapt", write_run(world, make_settings, tmp_path / "together", **changes))
    assert done.returncode == 0, done.stderr
    found, expected = (
        read_network(tmp_path / name / "adapted.safetensors")[1].provenance for name in ("together", "alone")
    )
    keys = ("statistics_share", "shares_tried", "settled_share")
    assert {key: found[key] for key in keys} == {key: expected[key] for key in keys}


def test_shared_maps_are_those_of_one_process(alone: Path, together: Together) -> None:
    for kind in ("pseudo_labels", "importance_prob_ratio"):
        found, expected = (
            {path.name: path.read_bytes() for path in output.glob(f"prepared/*/{kind}/*")}
            for output in (together.output, alone)
        )
        assert found == expected
        assert sorted(found) == [f"{number:06d}.png" for number in range(5)]


def test_one_process_speaks_for_both(together: Together) -> None:
    (line,) = together.done.stdout.splitlines()
    assert json.loads(line)["checkpoint"] == str(together.output / "adapted.safetensors")
    assert together.done.stderr.count("adapted network: ") == 1
    assert together.done.stderr.count("share of target statistics: ") == 1
    assert "Traceback" not in together.done.stderr
    assert "Warning" not in together.done.stderr


def test_frame_damaged_for_one_process_ends_both_with_its_error_told_once(
    world: Path, together: Together, run_two: RunTwo
) -> None:
    """The second process labels frame 3; the first has nothing to do and waits for it."""
    (label,) = together.output.glob("prepared/*/pseudo_labels/000003.png")
    network, label_content = together.output / "adapted.safetensors", label.read_bytes()
    shutil.move(network, network.with_suffix(".kept"))
    label.unlink()
    frame = world / "frames/003.png"
    content = frame.read_bytes()
    frame.write_bytes(content[: len(content) // 2])
    try:
        done = run_two("-m", "training", "adapt", str(together.output.with_suffix(".yaml")))
    finally:
        frame.write_bytes(content)
        label.write_bytes(label_content)
        shutil.move(network.with_suffix(".kept"), network)
    assert done.returncode != 0
    assert done.stderr.count(f"error: image {frame} cannot be read") == done.stderr.count("error: ") == 1
    assert "Connection closed" not in done.stderr
    assert done.stdout == ""


def test_settings_wrong_for_all_are_told_once(together: Together, run_two: RunTwo) -> None:
    config = str(together.output.with_suffix(".yaml"))
    done = run_two("-m", "training", "adapt", config, "--set", "adaptation.batch_size=3")
    assert done.returncode != 0
    assert done.stderr.count("error: batch_size=3 cannot be shared equally by 2 processes") == 1
    assert done.stderr.count("error: ") == 1


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_goes_on_with_another_number_of_processes(
    world: Path,
    make_settings: MakeSettings,
    start_two: StartTwo,
    alone: Path,
    tmp_path: Path,
    sent: signal.Signals,
) -> None:
    config = write_run(world, make_settings, tmp_path / "out")
    process = start_two("-m", "training", "adapt", config)
    deadline = time.monotonic() + TIME_LIMIT_S
    while not list(tmp_path.glob("out/adapt/*/state.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(sent)
    _, told = process.communicate(timeout=TIME_LIMIT_S)
    assert process.returncode != 0
    assert told.count("interrupted; run the same command again") == (1 if sent == signal.SIGINT else 0)
    assert not (tmp_path / "out/adapted.safetensors").exists()
    assert len(metrics_of(tmp_path / "out")) < STEPS
    assert main(["adapt", config]) == 0
    # A lost momentum, memory or class weight would show in the losses of the steps after the interruption.
    assert_same_losses(tmp_path / "out", alone)
