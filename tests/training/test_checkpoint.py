"""Network files and raw tensor files: whole or refused, never half loaded, never half written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from runtime.bundle.manifest import InputConvention
from runtime.errors import CheckpointError
from training.checkpoint import (
    NetworkSpec,
    load_network,
    load_tensors,
    read_network,
    read_tensors,
    save_network,
    save_tensors,
)
from training.networks.config import INPUT_CONVENTIONS, DeepLabV2Config, FactoryConfig
from training.networks.deeplab_v2 import DeepLabV2

Change = Callable[[dict[str, Tensor], dict[str, str]], object]


@pytest.fixture
def path(tmp_path: Path, network: DeepLabV2, spec: NetworkSpec) -> Path:
    save_network(tmp_path / "network.safetensors", network, spec)
    return tmp_path / "network.safetensors"


def rewrite(path: Path, change: Change) -> None:
    tensors, metadata = read_tensors(path)
    change(tensors, metadata)
    save_tensors(path, tensors, metadata)


def test_network_comes_back_with_the_same_weights_and_spec(path: Path, network: DeepLabV2, spec: NetworkSpec) -> None:
    loaded, found = load_network(path)
    assert found == spec
    assert loaded.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_channels_last_weights_come_back_the_same(path: Path, network: DeepLabV2, spec: NetworkSpec) -> None:
    expected = network.get_parameter("stem.0.weight").detach().clone()
    save_network(path, network.to(memory_format=torch.channels_last), spec)
    assert torch.equal(load_network(path)[0].get_parameter("stem.0.weight"), expected)


def test_provenance_comes_back(path: Path, network: DeepLabV2, spec: NetworkSpec) -> None:
    told = {"made_by": "adapt", "seed": 3, "scores": {"entropy": 0.5}}
    save_network(path, network, spec.model_copy(update={"provenance": told}))
    assert load_network(path)[1].provenance == told


def test_missing_checkpoint_is_named_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no\.safetensors does not exist; run `make adapt`"):
        load_network(tmp_path / "no.safetensors")


@pytest.mark.parametrize("kept", [0, 7, 1000, -100])
def test_truncated_checkpoint_is_named(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"network\.safetensors is damaged or not a safetensors file"):
        load_network(path)


def test_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"model\.pth is damaged or not a safetensors file"):
        load_network(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, _: tensors.pop("layer3.1.bn2.weight"), r"1 missing \(layer3\.1\.bn2\.weight\)"),
        (lambda tensors, _: tensors.update(extra=torch.zeros(1)), r"1 left over \(extra\)"),
        (
            lambda tensors, _: tensors.update({"classifier.0.bias": torch.zeros(19)}),
            r"1 of another shape \(classifier\.0\.bias \(19,\) instead of \(11,\)\)",
        ),
        (lambda tensors, _: tensors["stem.0.weight"][0, 0, 0].fill_(float("nan")), r"1 not finite \(stem\.0\.weight\)"),
        (lambda tensors, _: tensors["stem.0.weight"][0, 0, 0].fill_(float("inf")), r"1 not finite \(stem\.0\.weight\)"),
        (lambda _, metadata: metadata.update(kind="iapc-state-1"), "is not a network file .kind 'iapc-state-1'"),
        (lambda _, metadata: metadata.clear(), "is not a network file .kind None"),
        (lambda _, metadata: metadata.update(spec="{}"), "describes a network this version cannot build"),
    ],
)
def test_checkpoint_that_does_not_fit_is_refused_naming_what(path: Path, change: Change, message: str) -> None:
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as error:
        load_network(path)
    assert str(path) in str(error.value)


def test_unknown_backbone_is_refused(path: Path, spec: NetworkSpec) -> None:
    document = json.loads(spec.model_dump_json())
    document["model"]["backbone"] = "resnet9"
    rewrite(path, lambda _, metadata: metadata.update(spec=json.dumps(document)))
    with pytest.raises(CheckpointError, match="cannot build"):
        load_network(path)


def test_partial_load_changes_nothing() -> None:
    network = nn.Linear(2, 2)
    before = network.weight.detach().clone()
    with pytest.raises(CheckpointError, match=r"x does not fit the network: tensors 1 missing \(bias\)"):
        load_tensors(network, {"weight": torch.zeros(2, 2)}, Path("x"))
    assert torch.equal(network.weight, before)


def test_failed_write_leaves_the_old_file_and_no_other(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(NotImplementedError, match="no data"):
        save_tensors(path, {"weight": torch.zeros(1, device="meta")}, {})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_equal_content_gives_equal_bytes(path: Path, spec: NetworkSpec) -> None:
    network, read = load_network(path)
    for _ in range(4):
        save_network(path.with_name("again"), network, read)
        assert path.with_name("again").read_bytes() == path.read_bytes()


def test_a_reader_of_the_old_file_is_not_disturbed_by_a_new_one(path: Path) -> None:
    before = path.read_bytes()
    with path.open("rb") as old:
        save_tensors(path, {"weight": torch.zeros(1)}, {})
        assert old.read() == before
    assert read_tensors(path)[0].keys() == {"weight"}


def test_spec_builds_the_network_and_input_it_describes(spec: NetworkSpec) -> None:
    assert spec.label_space.num_classes == 11
    assert spec.build().get_parameter("classifier.0.bias").shape == (11,)
    caffe = spec.model_copy(update={"model": spec.model.model_copy(update={"input": "bgr_caffe"})}).frame_input()
    assert caffe.mean.flatten().tolist() == pytest.approx(INPUT_CONVENTIONS["bgr_caffe"].mean)
    graph = spec.frame_network(spec.build(), (64, 96))
    assert (graph.network_hw, graph.frame_hw) == ((32, 48), (64, 96))


# The user's own


@pytest.fixture
def made_by_factory(tmp_path: Path, network: DeepLabV2) -> Path:
    model = FactoryConfig(kind="factory", factory="mine.networks:make", feature_layer="layer3", network_hw=(32, 48))
    save_network(tmp_path / "mine.safetensors", network, NetworkSpec(model=model, label_space="camvid11"))
    return tmp_path / "mine.safetensors"


@pytest.mark.parametrize(
    ("factory", "said"), [(None, "the config names none"), ("other:make", "the config allows only 'other:make'")]
)
def test_file_that_runs_a_factory_the_config_does_not_name_is_refused_before_anything_runs(
    made_by_factory: Path, monkeypatch: pytest.MonkeyPatch, factory: str | None, said: str
) -> None:
    built: list[object] = []
    monkeypatch.setattr("training.checkpoint.build_network", lambda *_, **__: built.append(1))
    with pytest.raises(CheckpointError, match=rf"'mine\.networks:make', which runs code; {said}.*name it: .*mine"):
        load_network(made_by_factory, factory=factory)
    assert built == []


def test_file_that_runs_the_factory_the_config_names_is_loaded(
    made_by_factory: Path, network: DeepLabV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.checkpoint.build_network", lambda *_, **__: DeepLabV2("resnet18", 11))
    loaded, spec = load_network(made_by_factory, factory="mine.networks:make")
    assert isinstance(spec.model, FactoryConfig)
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_reading_a_file_builds_nothing_and_so_needs_no_factory(
    made_by_factory: Path, network: DeepLabV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("training.checkpoint.build_network")
    tensors, spec = read_network(made_by_factory)
    assert tensors.keys() == network.state_dict().keys()
    assert spec.model.kind == "factory"


def test_naming_a_factory_does_not_disturb_a_built_in_network(path: Path, spec: NetworkSpec) -> None:
    assert load_network(path, factory="mine.networks:make")[1] == spec


OWN_INPUT = {"channel_order": "bgr", "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]}


def test_input_convention_of_the_users_own_is_kept_in_the_file(tmp_path: Path, network: DeepLabV2) -> None:
    model = DeepLabV2Config.model_validate(
        {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": [32, 48], "input": OWN_INPUT}
    )
    save_network(tmp_path / "own", network, NetworkSpec(model=model, label_space="camvid11"))
    spec = load_network(tmp_path / "own")[1]
    assert spec.model.convention == InputConvention.model_validate(OWN_INPUT)
    fed = spec.frame_input()(torch.tensor([[[[30, 20, 10]]]], dtype=torch.uint8))
    torch.testing.assert_close(fed.flatten(), torch.tensor([9 / 4, 18 / 5, 27 / 6]))


@pytest.mark.parametrize(
    "given", ["rgb", {"channel_order": "bgr", "mean": [1, 2, 3]}, {**OWN_INPUT, "scale": 2}, {**OWN_INPUT, "std": [1]}]
)
def test_input_convention_that_says_too_little_or_too_much_is_refused(given: object) -> None:
    model = {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": [32, 48], "input": given}
    with pytest.raises(ValidationError, match="input"):
        DeepLabV2Config.model_validate(model)
