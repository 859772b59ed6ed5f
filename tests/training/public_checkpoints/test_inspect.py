"""`inspect-checkpoint`, and a run on a file it described: what someone with GTA5_source.pth on disk types first."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import training.__main__
from training.checkpoint import NetworkSpec, read_network, save_network
from training.networks.config import INPUT_CONVENTIONS, DeepLabV2Config, FactoryConfig

Save = Callable[[Any], Path]
MakeDocument = Callable[..., Any]
MakeFrames = Callable[..., Path]
MakeSettings = Callable[..., dict[str, Any]]
Inspect = Callable[..., dict[str, Any]]


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Runs the command; gives its JSON line, with what was said under `said`."""

    def run(*arguments: object, status: int = 0) -> dict[str, Any]:
        assert training.__main__.main(["inspect-checkpoint", *map(str, arguments)]) == status
        captured = capsys.readouterr()
        figures: dict[str, Any] = json.loads(captured.out) if status == 0 else {}
        return {**figures, "said": captured.err}

    return run


def test_a_public_file_is_told_with_the_block_a_run_file_needs(
    make_document: MakeDocument, save: Save, inspect: Inspect
) -> None:
    told = inspect(save(make_document("maxsquare")))
    expected = {
        "family": "maxsquare",
        "wrapper": "['state_dict'] prefix 'module.'",
        "backbone": "resnet50",
        "trunk": "caffe",
        "branches": 2,
        "classes": 19,
        "dropped": {"auxiliary head": 8, "unused branch": 4},
        "missing": [],
        "left_over": [],
        "label_space": "cityscapes19",
    }
    assert {key: told[key] for key in expected} == expected
    assert "standard deviation of their weights" in told["branches_because"]
    block = {"kind": "deeplab_v2", "backbone": "resnet50", "trunk": "caffe", "branches": 2, "input": "bgr_caffe"}
    assert told["model"] == {**block, "network_hw": [512, 1024]}
    said = told["said"].splitlines()
    document = yaml.safe_load("\n".join(said[-2:]))
    assert DeepLabV2Config.model_validate(document["model"]).branches == 2
    assert document["label_space"] == "cityscapes19"


@pytest.mark.parametrize(
    ("family", "block"),
    [
        ("fada", {"trunk": "contracted", "branches": 4, "input": "rgb_imagenet"}),
        ("mmseg", {"trunk": "deep_stem", "branches": 4, "input": "rgb_imagenet"}),
        ("proda", {"trunk": "caffe", "head": "module2_bn", "input": "rgb_unit"}),
        ("crst", {"trunk": "caffe", "branches": 4, "input": "bgr_std"}),
    ],
)
def test_the_block_of_each_form_is_a_valid_config(
    family: str, block: dict[str, Any], make_document: MakeDocument, save: Save, inspect: Inspect
) -> None:
    model = inspect(save(make_document(family)))["model"]
    assert model == {"kind": "deeplab_v2", "backbone": "resnet50", **block, "network_hw": [512, 1024]}
    DeepLabV2Config.model_validate(model)


def test_missing_and_left_over_tensors_are_told_not_refused(
    make_document: MakeDocument, save: Save, inspect: Inspect, make_frames: MakeFrames, tmp_path: Path
) -> None:
    document = make_document("crst") | {"odd": torch.zeros(1)}
    del document["layer1.0.bn1.bias"]
    told = inspect(save(document), "--frames", make_frames(tmp_path / "frames", count=2))
    assert (told["missing"], told["left_over"]) == (["layer1.0.bn1.bias"], ["odd"])
    assert "conventions" not in told


def test_initial_weights_are_told_apart_from_a_source_network(
    make_document: MakeDocument, save: Save, inspect: Inspect
) -> None:
    told = inspect(save(make_document("initial")))
    assert (told["family"], told["classes"], told["label_space"]) == ("initial", 21, None)
    assert "weights to start training from (source.start_from), not a source network" in told["said"]


def test_a_file_that_is_none_is_one_sentence(inspect: Inspect, tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    said = inspect(tmp_path / "page.pth", status=1)["said"]
    assert said.startswith("error: checkpoint")
    assert "is damaged or no PyTorch file" in said
    assert "does not exist" in inspect(tmp_path / "no.pth", status=1)["said"]


@pytest.fixture
def own_file(tmp_path: Path, spec: NetworkSpec) -> Path:
    caffe = spec.model.model_copy(update={"input": "bgr_caffe"})
    own = NetworkSpec(model=caffe, label_space="camvid11", provenance={"made_by": "train-source", "seed": 3})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_network(tmp_path / "own.safetensors", own.build(), own)
    return tmp_path / "own.safetensors"


def test_our_own_file_is_explained_too(own_file: Path, inspect: Inspect) -> None:
    told = inspect(own_file)
    assert (told["kind"], told["classes"], told["label_space"]) == ("network file", 11, "camvid11")
    assert told["provenance"] == {"made_by": "train-source", "seed": 3}
    assert DeepLabV2Config.model_validate(told["model"]) == read_network(own_file)[1].model
    assert "made_by: train-source" in told["said"]


def test_on_frames_every_convention_is_measured_and_the_fitting_one_is_in_the_block(
    own_file: Path, inspect: Inspect, make_frames: MakeFrames, tmp_path: Path
) -> None:
    told = inspect(own_file, "--frames", make_frames(tmp_path / "frames", count=3))
    assert told["conventions"].keys() == INPUT_CONVENTIONS.keys()
    for score in told["conventions"].values():
        assert score.keys() == {"confidence", "entropy", "num_classes", "surprise"}
    assert told["input"] in INPUT_CONVENTIONS
    assert told["model"]["input"] == (told["input"] if told["input_is_clear"] else "bgr_caffe")
    assert "max-softmax" in told["said"]


def test_a_factory_in_a_file_is_not_called(inspect: Inspect, make_frames: MakeFrames, tmp_path: Path) -> None:
    model = FactoryConfig(kind="factory", factory="os:mkdir", feature_layer="x", network_hw=(32, 32))
    save_network(tmp_path / "own.safetensors", torch.nn.Linear(1, 1), NetworkSpec(model=model, label_space="camvid11"))
    told = inspect(tmp_path / "own.safetensors", "--frames", make_frames(tmp_path / "frames", count=2))
    assert "its factory os:mkdir would run code" in told["said"]
    assert "conventions" not in told


@pytest.fixture
def run_file(make_document: MakeDocument, save: Save, make_settings: MakeSettings, world: Path, tmp_path: Path) -> Path:
    """A tiny adaptation from a public checkpoint whose statistics are those of BGR values with Caffe's mean."""
    document = make_document("adaptsegnet_multi", is_constant=False)
    settings = make_settings(world, tmp_path / "out", iterations=1, statistics_share=0.0)
    settings["label_space"] = "cityscapes19"
    settings["source"]["path"] = str(save(document))
    settings["model"] = {"kind": "deeplab_v2", "backbone": "resnet50", "network_hw": [32, 48]}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"training": settings}))
    return path


def test_a_run_on_a_public_checkpoint_just_works_once_its_block_is_in_the_config(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training.__main__.main(["adapt", str(run_file)]) == 2
    error = capsys.readouterr().err
    document = yaml.safe_load(run_file.read_text())
    block = yaml.safe_load(error[error.index("model: {") :])["model"]
    document["training"]["model"] = {**block, "network_hw": [32, 48]}
    run_file.write_text(yaml.safe_dump(document))
    assert training.__main__.main(["train-source", str(run_file)]) == 0
    assert training.__main__.main(["adapt", str(run_file)]) == 0
    _, spec = read_network(tmp_path / "out" / "adapted.safetensors")
    assert isinstance(spec.model, DeepLabV2Config)
    assert (spec.model.trunk, spec.model.branches, spec.model.input) == ("caffe", 2, "bgr_caffe")
    assert spec.provenance["projects"] == "AdaptSegNet, multi-level"


def test_adapting_warns_where_another_convention_clearly_fits(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The random trunk's first statistics are those of values near one, which Caffe's convention is far from."""
    block = "{kind: deeplab_v2, backbone: resnet50, trunk: caffe, branches: 2, input: bgr_caffe, network_hw: [32, 48]}"
    assert training.__main__.main(["adapt", str(run_file), "--set", f"model={block}"]) == 0
    assert "fits this network, not bgr_caffe" in capsys.readouterr().err
