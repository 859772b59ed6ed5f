"""`python -m training adapt` from end to end on five small frames: done once, killed, run again, refused."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from runtime.files import sha256_of
from runtime.images import write_png
from training.__main__ import main
from training.checkpoint import load_network, read_tensors, save_network, save_tensors
from training.data.layouts import folder_images
from training.device import Compute
from training.networks.config import DeepLabV2Config
from training.statistics.batch_norm import blend, load_statistics, read_statistics
from training.statistics.label_free import choose_share
from training.target_images import network_inputs, target_statistics

ROOT = Path(__file__).parents[2]
MakeConfig = Callable[..., str]
MakeSettings = Callable[..., dict[str, Any]]

# Runs the command in a process of its own for each file and number, which kills itself just before the file takes its
# place for that time, written beside it. What is imported is shared, what is computed is not.
KILLED_AT_RENAMES = """
import json, os, signal, sys, torch
torch.set_num_threads(1)
import training.adapt
from training.__main__ import main

def run(wanted, left):
    def count(event, arguments):
        nonlocal left
        if event == "os.rename" and str(arguments[1]).endswith(wanted):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    sys.exit(main(sys.argv[3:]))

for wanted, times in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        run(wanted, times)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, os.path.exists(sys.argv[2])]), flush=True)
"""


@pytest.fixture(scope="module")
def whole(world: Path, make_settings: MakeSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"training": make_settings(world, folder / "out")}))
    assert main(["adapt", str(path)]) == 0
    return folder / "out"


def leftovers(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob(".*")]


def run_folder(output: Path) -> Path:
    (folder,) = (output / "adapt").iterdir()
    return folder


def prepared_folder(output: Path) -> Path:
    (folder,) = (output / "prepared").iterdir()
    return folder


def metrics_of(output: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run_folder(output) / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_s"} for line in lines]


def kill_at(moments: list[tuple[str, int]], adapted: Path, config: str) -> None:
    command = [sys.executable, "-c", KILLED_AT_RENAMES, json.dumps(moments), str(adapted), "adapt", config]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert ends == [[-signal.SIGKILL, False]] * len(moments), done.stderr


def assert_same_result(first: Path, second: Path) -> None:
    tensors, others = (read_tensors(output / "adapted.safetensors")[0] for output in (first, second))
    assert tensors.keys() == others.keys()
    assert [name for name, tensor in tensors.items() if not torch.equal(tensor, others[name])] == []
    provenances = [load_network(output / "adapted.safetensors")[1].provenance for output in (first, second)]
    assert provenances[0] == provenances[1]
    assert (first / "adapted.safetensors").read_bytes() == (second / "adapted.safetensors").read_bytes()
    assert metrics_of(first) == metrics_of(second)


# Done once


def test_adapted_network_is_written_with_where_it_came_from(whole: Path, world: Path) -> None:
    _network, spec = load_network(whole / "adapted.safetensors")
    assert spec.label_space.name == "camvid11"
    assert spec.model == DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=(32, 48))
    told = spec.provenance
    assert (told["made_by"], told["seed"]) == ("adapt", 0)
    assert told["source_sha256"] == sha256_of(world / "source.safetensors")
    assert told["target_frames"]["layout"] == "folder"
    assert told["target_frames"]["num_frames"] > 1
    assert str(told["statistics_share"]) in told["shares_tried"]
    assert told["scores_before"].keys() == told["scores_after"].keys() >= {"entropy", "mirror_agreement"}
    assert leftovers(whole) == []


def test_adaptation_moves_convolutions_but_no_scale_or_offset(whole: Path, world: Path) -> None:
    before, after = (read_tensors(path)[0] for path in (world / "source.safetensors", whole / "adapted.safetensors"))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert {"stem.0.weight", "layer4.1.conv2.weight", "classifier.3.weight"} <= changed
    assert not any(".bn" in name and name.endswith(("weight", "bias")) for name in changed)


def test_run_keeps_its_config_labels_and_metrics_but_not_its_state(whole: Path) -> None:
    folder = run_folder(whole)
    assert [line["step"] for line in metrics_of(whole)] == [0, 1, 2, 3]
    assert metrics_of(whole)[0].keys() == {
        *("step", "importance_weighted", "information", "symmetric", "enhanced", "lr")
    }
    for maps in ("pseudo_labels", "importance_prob_ratio"):
        names = sorted(path.name for path in (prepared_folder(whole) / maps).iterdir())
        assert names == [f"{n:06d}.png" for n in range(5)]
    assert not (folder / "state.safetensors").exists()
    assert json.loads((whole / "adapt.config.json").read_text())["adaptation"]["iterations"] == 4


def test_running_again_does_nothing(
    whole: Path, world: Path, tmp_path: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole, tmp_path / "out")
    before = (tmp_path / "out/adapted.safetensors").stat().st_mtime_ns
    assert main(["adapt", make_config()]) == 0
    captured = capsys.readouterr()
    assert "already adapted" in captured.err
    figures = json.loads(captured.out.splitlines()[-1])
    assert figures["checkpoint"] == str(tmp_path / "out/adapted.safetensors")
    assert figures["scores_after"] == load_network(whole / "adapted.safetensors")[1].provenance["scores_after"]
    assert (tmp_path / "out/adapted.safetensors").stat().st_mtime_ns == before


def test_other_settings_make_another_network(whole: Path, tmp_path: Path, make_config: MakeConfig) -> None:
    shutil.copytree(whole, tmp_path / "out")
    assert main(["adapt", make_config(iterations=1, statistics_share=0.0, student_statistics="fixed")]) == 0
    told = load_network(tmp_path / "out/adapted.safetensors")[1].provenance
    assert told["settings"] != load_network(whole / "adapted.safetensors")[1].provenance["settings"]
    assert told["statistics_share"] == 0.0
    assert len(list((tmp_path / "out/adapt").iterdir())) == 2


def test_other_frames_make_another_network_and_the_same_ones_copied_do_not(
    world: Path,
    tmp_path: Path,
    make_config: MakeConfig,
    make_frames: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    frames, path = tmp_path / "frames", tmp_path / "out/adapted.safetensors"
    shutil.copytree(world / "frames", frames)
    command = ["adapt", make_config(iterations=1), "--set", f"target.adapt.root={frames}"]
    assert main(command) == 0
    first = path.read_bytes()
    shutil.rmtree(frames)
    make_frames(frames, count=5)
    assert main(command) == 0
    assert "already adapted" in capsys.readouterr().err
    assert path.read_bytes() == first
    make_frames(frames, count=1, first=5)
    assert main(command) == 0
    assert "already adapted" not in capsys.readouterr().err
    assert path.read_bytes() != first
    (frames / "005.png").unlink()
    assert main(command) == 0
    assert path.read_bytes() == first
    assert len(list((tmp_path / "out/adapt").iterdir())) == len(list((tmp_path / "out/prepared").iterdir())) == 2


def test_source_frames_count_for_a_method_that_learns_from_them(
    world: Path,
    tmp_path: Path,
    make_settings: MakeSettings,
    make_frames: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    images, labels = make_frames(tmp_path / "images", count=2), tmp_path / "labels"
    labels.mkdir()
    config = make_settings(world, tmp_path / "out", method={"name": "fda"}, iterations=1)
    config["source"]["frames"] = {"layout": "labelled_folder", "root": str(images), "labels": str(labels)}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"training": config}))
    marks = []
    for count in (2, 2, 3):
        make_frames(images, count=count)
        for path in images.iterdir():
            write_png(labels / path.name, np.zeros((64, 96), dtype=np.uint8))
        assert main(["adapt", str(tmp_path / "run.yaml")]) == 0
        marks.append(load_network(tmp_path / "out/adapted.safetensors")[1].provenance["settings"])
        assert ("already adapted" in capsys.readouterr().err) == (len(marks) == 2)
    assert marks[0] == marks[1] != marks[2]
    assert prepared_folder(tmp_path / "out").is_dir(), "source frames are none of what is prepared"


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_fixed_statistics_are_the_sources_with_the_targets_share_blended_in(
    world: Path, tmp_path: Path, make_config: MakeConfig, compute: Compute, share: float
) -> None:
    assert main(["adapt", make_config(iterations=1, statistics_share=share, student_statistics="fixed")]) == 0
    source, spec = load_network(world / "source.safetensors")
    target = target_statistics(compute.place(source), spec, folder_images(world / "frames"), compute, limit=200)
    expected = blend(read_statistics(source), target, share)
    found = read_statistics(load_network(tmp_path / "out/adapted.safetensors")[0])
    for name, statistics in expected.items():
        torch.testing.assert_close(found[name], statistics)


def test_network_is_left_as_it_is_where_the_target_is_no_other_domain(
    world: Path, tmp_path: Path, make_settings: MakeSettings, compute: Compute, capsys: pytest.CaptureFixture[str]
) -> None:
    source, spec = load_network(world / "source.safetensors")
    own = target_statistics(compute.place(source), spec, folder_images(world / "frames"), compute, limit=200)
    load_statistics(source, own)
    save_network(tmp_path / "source.safetensors", source, spec)
    settings = make_settings(world, tmp_path / "out", balance=0.5)
    settings["source"]["path"] = str(tmp_path / "source.safetensors")
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"training": settings}))
    assert main(["adapt", str(path)]) == 0
    assert "the target looks like the source's own domain" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/prepared/*/pseudo_labels")), "nothing reads labels of it"
    adapted, spec = load_network(tmp_path / "out/adapted.safetensors")
    for name, tensor in source.state_dict().items():
        assert torch.equal(adapted.state_dict()[name], tensor), name
    assert (spec.provenance["shift"], spec.provenance["statistics_share"]) == (0.0, 0.0)
    assert main(["adapt", str(path), "--set", "adaptation.min_shift=0"]) == 0
    changed = load_network(tmp_path / "out/adapted.safetensors")[0].state_dict()
    assert any(not torch.equal(changed[name], tensor) for name, tensor in source.state_dict().items())


@pytest.mark.parametrize(("settled_as", "share"), [("estimated", 0.5), ("blended", 0.25), ("blended", "auto")])
def test_student_trained_by_batch_gets_the_statistics_of_clean_target_frames(
    world: Path, tmp_path: Path, make_config: MakeConfig, compute: Compute, settled_as: str, share: float | str
) -> None:
    assert main(["adapt", make_config(iterations=1, statistics_share=share, settled_statistics=settled_as)]) == 0
    network, spec = load_network(tmp_path / "out/adapted.safetensors")
    source = read_statistics(load_network(world / "source.safetensors")[0])
    target = target_statistics(compute.place(network), spec, folder_images(world / "frames"), compute, limit=200)
    settled = spec.provenance["settled_share"]
    expected = blend(source, target, settled)
    for name, statistics in read_statistics(network).items():
        torch.testing.assert_close(statistics, expected[name])
    images = list(network_inputs(spec, folder_images(world / "frames"), compute, limit=32))
    chosen = choose_share(network, images, source=source, target=target, compute=compute)[0]
    assert settled == {("estimated", 0.5): 1.0, ("blended", 0.25): 0.25, ("blended", "auto"): chosen}[settled_as, share]


def test_network_that_lost_too_many_classes_is_not_delivered(
    world: Path, tmp_path: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    collapsing = {"method": {"name": "tent"}, "iterations": 8, "optimizer": {"learning_rate": 1.0, "warmup": 0}}
    assert main(["adapt", make_config(**collapsing, max_lost_classes=0.25)]) == 0
    told = capsys.readouterr()
    assert "classes any more (" in told.err
    vetoed, spec = load_network(tmp_path / "out/adapted.safetensors")
    (start,) = (tmp_path / "out/prepared").glob("*/initial.safetensors")
    expected = load_network(start)[0].state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in vetoed.state_dict().items())
    assert spec.provenance["is_vetoed"] is True
    assert spec.provenance["settled_share"] is None
    learnt = load_network(tmp_path / "out/vetoed.safetensors")[0].state_dict()
    assert any(not torch.equal(tensor, expected[name]) for name, tensor in learnt.items())
    assert spec.provenance["scores_after"] == spec.provenance["scores_before"]
    decided = json.loads(told.out.splitlines()[-1])
    assert (decided["is_vetoed"], decided["lost_classes"]) == (True, spec.provenance["lost_classes"])
    assert main(["adapt", make_config(**collapsing, max_lost_classes=1.0)]) == 0
    delivered, spec = load_network(tmp_path / "out/adapted.safetensors")
    assert any(not torch.equal(tensor, expected[name]) for name, tensor in delivered.state_dict().items())
    assert (spec.provenance["is_vetoed"], spec.provenance["lost_classes"]) == (False, decided["lost_classes"])


def test_rendered_streets_go_from_source_training_to_a_report(
    world: Path, make_settings: MakeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def streets(domain: str, first: int) -> dict[str, Any]:
        return {"layout": "streets", "domain": domain, "first": first, "count": 2, "height": 64, "width": 96}

    config = make_settings(world, tmp_path / "out", iterations=1, statistics_share=0.5)
    schedule = {key: config["adaptation"][key] for key in ("views", "optimizer", "iterations", "batch_size")}
    config["label_space"] = "cityscapes19"
    config["source"] = {
        "kind": "train",
        "frames": streets("source", 0),
        "validation": streets("source", 9),
        **schedule,
    }
    config["target"] = {"adapt": streets("target", 0), "test": streets("target", 9)}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"training": config}))
    assert main(["train-source", str(path)]) == 0
    trained = (tmp_path / "out/source.safetensors").read_bytes()
    assert main(["train-source", str(path)]) == 0
    assert (tmp_path / "out/source.safetensors").read_bytes() == trained
    assert "already trained" in capsys.readouterr().err
    assert main(["adapt", str(path)]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert list(report) == ["source only", "BN replaced", "BN half blended", "BN as chosen", "balanced", "adapted"]
    assert figures["adapted_miou"] == report["adapted"]["miou"]
    assert all(0 <= row["miou"] <= 100 and len(row["iou"]) == 19 for row in report.values())
    assert leftovers(tmp_path / "out") == []
    told = load_network(tmp_path / "out/adapted.safetensors")[1].provenance
    learnt_from = {"source": told["source_frames"], "target": told["target_frames"]}
    assert {frames["domain"] for frames in learnt_from.values()} == learnt_from.keys()
    assert [frames["num_frames"] for frames in learnt_from.values()] == [2, 2]


# Killed


def test_run_killed_again_and_again_ends_with_the_same_bits(
    whole: Path, tmp_path: Path, make_config: MakeConfig
) -> None:
    """Killed with the initial network, a pseudo-label, an importance map, states and the network half in place."""
    config = make_config()
    moments = [
        ("initial.safetensors", 1),
        ("pseudo_labels/000001.png", 1),
        ("importance_prob_ratio/000003.png", 1),
        ("state.safetensors", 1),
        ("state.safetensors", 3),
        ("adapted.safetensors", 1),
    ]
    kill_at(moments, tmp_path / "out/adapted.safetensors", config)
    assert main(["adapt", config]) == 0
    assert_same_result(whole, tmp_path / "out")


def test_how_often_a_state_is_kept_may_change_while_a_run_is_killed(
    whole: Path, tmp_path: Path, make_config: MakeConfig
) -> None:
    kill_at([("state.safetensors", 3)], tmp_path / "out/adapted.safetensors", make_config())
    state = read_tensors(run_folder(tmp_path / "out") / "state.safetensors")[1]
    assert state["step"] == "2"
    assert main(["adapt", make_config(checkpoint_every=3)]) == 0
    assert run_folder(tmp_path / "out").name == run_folder(whole).name
    (tensors, _), (expected, _) = (read_tensors(at / "adapted.safetensors") for at in (tmp_path / "out", whole))
    assert [name for name, tensor in expected.items() if not torch.equal(tensor, tensors[name])] == []
    assert metrics_of(tmp_path / "out") == metrics_of(whole)


def test_run_by_rounds_killed_within_and_between_them_ends_with_the_same_bits(
    world: Path, make_settings: MakeSettings, tmp_path: Path, make_config: MakeConfig
) -> None:
    method = {"name": "class_balanced", "rounds": 2, "share": 0.5}
    uninterrupted = tmp_path / "whole.yaml"
    uninterrupted.write_text(yaml.safe_dump({"training": make_settings(world, tmp_path / "whole", method=method)}))
    assert main(["adapt", str(uninterrupted)]) == 0
    labels = [run_folder(tmp_path / "whole") / f"labels_{number}" for number in range(2)]
    assert len(list(labels[0].iterdir())) == len(list(labels[1].iterdir())) > 0
    config = make_config(method=method)
    files = ("labels_0.thresholds.json", "labels_0/000001.png", "labels_1/000001.png", "adapted.safetensors")
    kill_at([(file, 1) for file in files], tmp_path / "out/adapted.safetensors", config)
    assert main(["adapt", config]) == 0
    assert_same_result(tmp_path / "whole", tmp_path / "out")


def test_run_stopped_by_a_damaged_frame_names_it_and_goes_on_once_it_is_restored(
    whole: Path, world: Path, tmp_path: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = world / "frames/003.png"
    content = frame.read_bytes()
    frame.write_bytes(content[: len(content) // 2])
    try:
        assert main(["adapt", make_config(statistics_share=0.0)]) == 1
    finally:
        frame.write_bytes(content)
    assert f"error: image {frame} cannot be read" in capsys.readouterr().err
    assert leftovers(tmp_path / "out") == []
    assert not (tmp_path / "out/adapted.safetensors").exists()
    assert main(["adapt", make_config(statistics_share=0.0)]) == 0


def test_damaged_pseudo_labels_are_named(
    whole: Path, tmp_path: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole, tmp_path / "out")
    (tmp_path / "out/adapted.safetensors").unlink()
    label = prepared_folder(tmp_path / "out") / "pseudo_labels/000002.png"
    label.write_bytes(b"\x89PNG")
    assert main(["adapt", make_config()]) == 1
    assert f"error: pseudo-labels {label} cannot be read" in capsys.readouterr().err
    assert leftovers(tmp_path / "out") == []


# Refused


def test_target_of_one_frame_is_refused(
    world: Path, tmp_path: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "single").mkdir()
    shutil.copy(world / "frames/000.png", tmp_path / "single")
    assert main(["adapt", make_config(), "--set", f"target.adapt.root={tmp_path / 'single'}"]) == 1
    assert "error: the target has 1 frame(s); adaptation needs at least 2" in capsys.readouterr().err
    assert not (tmp_path / "out/adapted.safetensors").exists()
    assert leftovers(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [("missing", "does not exist"), ("truncated", "is damaged"), ("partial", "1 missing (layer2.0.bn1.weight)")],
)
def test_source_checkpoint_that_cannot_be_used_is_named(
    world: Path, tmp_path: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str], damage: str, message: str
) -> None:
    path = tmp_path / "bad.safetensors"
    content = (world / "source.safetensors").read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:-1000])
    elif damage == "partial":
        tensors, metadata = read_tensors(world / "source.safetensors")
        del tensors["layer2.0.bn1.weight"]
        save_tensors(path, tensors, metadata)
    assert main(["adapt", make_config(), "--set", f"source.path={path}"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: checkpoint {path}")
    assert message in error
    assert not (tmp_path / "out/adapted.safetensors").exists()
    assert leftovers(tmp_path) == []
