"""Every family of public checkpoints: recognised, loaded whole into the right network, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from runtime.errors import CheckpointError, ConfigError
from runtime.labels import LABEL_SPACES, LabelSpace
from training.networks.config import DeepLabV2Config, SmpConfig
from training.networks.deeplab_v2 import DeepLabV2
from training.public_checkpoints.load import load_public, load_trunk

Tensors = dict[str, Tensor]
Save = Callable[[Any], Path]
MakeDocument = Callable[..., Any]
ReferenceLogits = Callable[..., Tensor]

CAFFE = {"trunk": "caffe", "input": "bgr_caffe"}
# What describes each family's network, how its trunk is computed, its head's name in the file, and what is left out.
FAMILIES: dict[str, tuple[dict[str, Any], str, dict[str, int]]] = {
    "adaptsegnet_multi": ({**CAFFE, "branches": 2}, "layer6.conv2d_list", {"auxiliary head": 8, "unused branch": 4}),
    "single_level": ({**CAFFE, "branches": 2}, "layer5.conv2d_list", {"unused branch": 4}),
    "crst": ({**CAFFE, "input": "bgr_std"}, "layer5.conv2d_list", {}),
    "sac": ({**CAFFE, "input": "rgb_imagenet"}, "layer5.conv2d_list", {"teacher": 326, "training state": 2}),
    "advent": (CAFFE, "layer6.conv2d_list", {"auxiliary head": 8}),
    "maxsquare": ({**CAFFE, "branches": 2}, "layer6.conv2d_list", {"auxiliary head": 8, "unused branch": 4}),
    "iapc": (CAFFE, "layer6.conv2d_list", {"auxiliary head": 8}),
    "hcl": (CAFFE, "layer6.conv2d_list", {"auxiliary head": 8, "projection head": 8}),
    "ur": (
        {**CAFFE, "branches": 2},
        "layer6.conv2d_list",
        {"auxiliary decoders": 16, "auxiliary head": 8, "unused branch": 4},
    ),
    "bicl": (CAFFE, "layer5.conv2d_list", {"target branch": 66, "unused head": 8}),
    "fada": ({"trunk": "contracted", "input": "rgb_imagenet"}, "classifier.conv2d_list", {}),
    "mmseg": ({"trunk": "deep_stem", "input": "rgb_imagenet"}, "decode_head.aspp_modules", {"teacher": 338}),
    "proda": ({**CAFFE, "head": "module2_bn", "input": "rgb_unit"}, "layer5", {}),
    "ldbe": ({**CAFFE, "head": "module2"}, "layer6", {"auxiliary head": 29, "unused batch norm": 5}),
}


def config(**keys: Any) -> DeepLabV2Config:
    return DeepLabV2Config.model_validate(
        {"kind": "deeplab_v2", "backbone": "resnet50", "network_hw": (64, 96), **keys}
    )


def bare(document: Any) -> Tensors:
    """The tensors of a document's network under the names of a bare one, by hand rather than by our unwrapping."""
    if "feature_extractor" in document:
        merged = dict(document["feature_extractor"])
        return bare(merged | {f"classifier.{n.removeprefix('module.')}": t for n, t in document["classifier"].items()})
    for key in ("state_dict", "model", "ResNet101", "model_state"):
        document = document.get(key, document)
    found: Tensors = {}
    for name, tensor in document.items():
        if not name.startswith(("slow_net.", "ema_model.")):
            for prefix in ("module.", "seg_model.", "model.", "backbone.model.", "backbone."):
                name = name.removeprefix(prefix)
            found[name] = tensor
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_predicts_what_its_tensors_do_when_computed_by_hand(
    family: str, make_document: MakeDocument, save: Save, reference_logits: ReferenceLogits
) -> None:
    keys, head, dropped = FAMILIES[family]
    document = make_document(family, is_constant=False)
    model = config(**keys)
    network, spec = load_public(save(document), model, LABEL_SPACES["cityscapes19"])
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = network.eval().logits(image)
        expected = reference_logits(bare(document), image, form=model.trunk, head=head, branches=model.branches)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert spec.model == model
    assert (spec.provenance["family"], spec.provenance["dropped"]) == (family, dropped)
    assert len(spec.provenance["sha256"]) == 64


def test_full_depth_file_of_the_best_known_family_loads_tensor_by_tensor(
    make_document: MakeDocument, save: Save
) -> None:
    document = make_document("maxsquare", backbone="resnet101")
    network, _ = load_public(
        save(document), config(**CAFFE, backbone="resnet101", branches=2), LABEL_SPACES["cityscapes19"]
    )
    own, theirs = network.state_dict(), bare(document)
    assert torch.equal(own["layer3.22.conv2.weight"], theirs["layer3.22.conv2.weight"])
    assert torch.equal(own["stem.0.weight"], theirs["conv1.weight"])
    assert torch.equal(own["stem.1.running_var"], theirs["bn1.running_var"])
    assert torch.equal(own["classifier.1.bias"], theirs["layer6.conv2d_list.1.bias"])
    assert len(own) == len([name for name in theirs if not name.startswith(("layer5", "layer6"))]) + 4


def test_safetensors_of_another_project_load_too(make_document: MakeDocument, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in make_document("crst").items()}, path)
    _, spec = load_public(path, config(**FAMILIES["crst"][0]), LABEL_SPACES["cityscapes19"])
    assert spec.provenance["family"] == "crst"
    path.unlink()


def test_counters_that_old_files_lack_are_filled(make_document: MakeDocument, save: Save) -> None:
    network, _ = load_public(save(make_document("fada")), config(**FAMILIES["fada"][0]), LABEL_SPACES["cityscapes19"])
    assert int(network.state_dict()["stem.1.num_batches_tracked"]) == 0


def change(document: Any, **changed: Tensor | None) -> Any:
    """A copy of a flat document with tensors replaced, added, or, where None, left out; `__` stands for a dot."""
    document = dict(document)
    for name, tensor in changed.items():
        document.pop(name.replace("__", "."), None)
        if tensor is not None:
            document[name.replace("__", ".")] = tensor
    return document


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layer3__5__bn2__weight": None}, r"tensors 1 missing \(layer3\.5\.bn2\.weight\)"),
        ({"conv1__weight": None}, r"1 missing \(conv1\.weight\)"),
        ({"layer6__conv2d_list__1__bias": None}, r"1 missing \(layer6\.conv2d_list\.1\.bias\)"),
        ({"layer6__conv2d_list__3__weight": None}, r"lacks tensors of its head: layer6\.conv2d_list\.3\.weight"),
        ({"extra__weight": torch.zeros(1)}, r"1 left over \(extra\.weight\)"),
        ({"layer1__0__conv4__weight": torch.zeros(1)}, r"1 left over \(layer1\.0\.conv4\.weight\)"),
        (
            {"layer2__0__bn1__bias": torch.zeros(5)},
            r"1 of another shape \(layer2\.0\.bn1\.bias \(5,\) instead of \(128,\)\)",
        ),
        ({"bn1__running_mean": torch.full((64,), torch.nan)}, r"1 not finite \(stem\.1\.running_mean\)"),
        ({"layer4__3__conv1__weight": torch.zeros(1)}, r"a ResNet of \(3, 4, 6, 4\) blocks is not supported"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_naming_the_tensor(
    changed: dict[str, Tensor | None], message: str, make_document: MakeDocument, save: Save
) -> None:
    path = save(change(make_document("advent"), **changed))
    with pytest.raises(CheckpointError, match=message) as error:
        load_public(path, config(**CAFFE), LABEL_SPACES["cityscapes19"])
    assert str(path) in str(error.value)


def test_every_missing_and_left_over_tensor_is_listed(make_document: MakeDocument, save: Save) -> None:
    document = {n: t for n, t in make_document("advent").items() if not n.startswith("layer2.0.bn")}
    document |= {f"odd.{number}": torch.zeros(1) for number in range(5)}
    with pytest.raises(CheckpointError) as error:
        load_public(save(document), config(**CAFFE), LABEL_SPACES["cityscapes19"])
    assert "12 missing (layer2.0.bn1.bias, layer2.0.bn1.running_mean" in str(error.value)
    assert "5 left over (odd.0, odd.1, odd.2, odd.3, odd.4)" in str(error.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"weights": {"encoder": torch.zeros(1)}},
            r"holds no ResNet: .* its first keys are weights\. Give a DeepLabV2",
        ),
        ({}, "its first keys are none"),
        (torch.zeros(3), "holds a Tensor, expected a dictionary of tensors"),
        (
            {"first": {"layer4.0.conv1.weight": torch.zeros(1)}, "second": {"layer4.0.conv1.weight": torch.zeros(1)}},
            r"holds 2 networks \(first, second\); save a file with the one you mean",
        ),
        (
            {"ema_model.layer4.0.conv1.weight": torch.zeros(1), "teacher.layer4.0.conv1.weight": torch.zeros(1)},
            r"holds 2 networks under the prefixes 'ema_model\.', 'teacher\.'",
        ),
    ],
)
def test_what_cannot_be_unwrapped_is_refused_naming_what_is_there(document: Any, message: str, save: Save) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_public(save(document), config(**CAFFE), LABEL_SPACES["cityscapes19"])


def test_a_trunk_without_a_classifier_is_refused_as_a_source(make_document: MakeDocument, save: Save) -> None:
    document = {n: t for n, t in make_document("crst").items() if "conv2d_list" not in n} | {
        "fc.weight": torch.zeros(1)
    }
    with pytest.raises(CheckpointError, match=r"no DeepLabV2 classifier .* start_from\), it cannot be adapted"):
        load_public(save(document), config(**CAFFE), LABEL_SPACES["cityscapes19"])


def test_a_head_that_reads_two_stages_is_refused_by_name(make_document: MakeDocument, save: Save) -> None:
    document = {n: t for n, t in make_document("ldbe").items() if not n.startswith("layer6.conv2d_list")}
    document |= {f"layer6.conv2d_list.{k}.0.weight": torch.zeros(1).expand(256, 3072, 1, 1) for k in range(5)}
    with pytest.raises(CheckpointError, match="MRNet's head, which reads layer3 and layer4 together"):
        load_public(save(document), config(**CAFFE), LABEL_SPACES["cityscapes19"])


def test_initial_weights_are_refused_as_a_source_and_told_apart(make_document: MakeDocument, save: Save) -> None:
    with pytest.raises(CheckpointError, match=r"weights to start training from, not a source network.*21 classes"):
        load_public(save(make_document("initial")), config(**CAFFE), LABEL_SPACES["cityscapes19"])


@pytest.mark.parametrize(
    ("classes", "space", "message"),
    [
        (16, "cityscapes19", "16 classes apart, label_space cityscapes19 has 19; use label_space synthia16"),
        (19, "camvid11", "19 classes apart, label_space camvid11 has 11; use label_space cityscapes19"),
        (16, "synthia13", "use label_space synthia16"),
        (
            7,
            "cityscapes19",
            "7 classes apart, label_space cityscapes19 has 19; name its classes in their order: label_space.classes",
        ),
    ],
)
def test_another_number_of_classes_is_refused_with_the_space_that_fits(
    classes: int, space: str, message: str, make_document: MakeDocument, save: Save
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_public(save(make_document("advent", classes=classes)), config(**CAFFE), LABEL_SPACES[space])


@pytest.mark.parametrize("space", ["synthia16", "synthia13"])
@pytest.mark.parametrize(("family", "name"), [("advent", "classifier.2.weight"), ("ldbe", "classifier.head.1.weight")])
def test_a_head_of_19_classes_keeps_the_rows_of_shared_classes_by_name(
    space: str, family: str, name: str, make_document: MakeDocument, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    document = make_document(family)
    theirs = "layer6.conv2d_list.2.weight" if family == "advent" else "layer6.head.1.weight"
    document[theirs] = document[theirs] + torch.arange(19.0)[:, None, None, None]
    network, spec = load_public(save(document), config(**FAMILIES[family][0]), LABEL_SPACES[space])
    kept = LABEL_SPACES[space].names
    rows = [LABEL_SPACES["cityscapes19"].names.index(class_name) for class_name in kept]
    weight = network.state_dict()[name]
    assert torch.equal(weight, document[theirs][rows])
    assert weight.shape[0] == len(kept) == spec.label_space.num_classes
    said = capsys.readouterr().err
    assert f"of its 19 classes label_space {space} keeps {len(kept)}, without" in said
    assert "terrain, truck, train" in said.replace("pole, terrain", "terrain")


def test_a_head_of_19_classes_keeps_the_rows_of_own_classes_by_name(make_document: MakeDocument, save: Save) -> None:
    document = make_document("advent")
    theirs = "layer6.conv2d_list.2.weight"
    document[theirs] = document[theirs] + torch.arange(19.0)[:, None, None, None]
    own = LabelSpace.model_validate({"classes": ["sky", "car", "road"], "merges": {"truck": "car"}})
    network, spec = load_public(save(document), config(**FAMILIES["advent"][0]), own)
    assert torch.equal(network.state_dict()["classifier.2.weight"], document[theirs][[10, 13, 0]])
    assert spec.label_space == own


def test_all_19_classes_in_another_order_are_taken_by_name(
    make_document: MakeDocument, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    document = make_document("advent")
    theirs = "layer6.conv2d_list.2.weight"
    document[theirs] = document[theirs] + torch.arange(19.0)[:, None, None, None]
    own = LabelSpace.model_validate({"classes": LABEL_SPACES["cityscapes19"].names[::-1]})
    network, _ = load_public(save(document), config(**FAMILIES["advent"][0]), own)
    assert torch.equal(network.state_dict()["classifier.2.weight"], document[theirs].flip(0))
    assert "keeps 19, in another order" in capsys.readouterr().err


def test_a_head_is_not_cut_to_a_class_that_it_does_not_have(make_document: MakeDocument, save: Save) -> None:
    own = LabelSpace.model_validate({"classes": ["road", {"name": "kerb", "colour": [1, 2, 3]}]})
    problem = r"label_space own \(road, kerb\) has 2; use label_space cityscapes19, or classes .* as kerb is not"
    with pytest.raises(CheckpointError, match=problem):
        load_public(save(make_document("advent")), config(**FAMILIES["advent"][0]), own)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({**CAFFE, "backbone": "resnet101"}, "its backbone is 'resnet50', the config says 'resnet101'"),
        ({"input": "bgr_caffe"}, "its trunk is 'caffe', the config says 'torchvision'"),
        ({**CAFFE, "trunk": "deep_stem"}, "its trunk is 'caffe', the config says 'deep_stem'"),
        ({**CAFFE, "head": "module2"}, "its head is 'sum', the config says 'module2'"),
        (CAFFE, r"its branches is 2, the config says 4 \(the last two of four are initial noise; standard deviation"),
        (
            {"trunk": "caffe", "branches": 2},
            r"state model\.input \(AdaptSegNet, multi-level: bgr_caffe\), or measure it",
        ),
    ],
)
def test_a_config_that_describes_another_network_is_refused_with_the_block_to_write(
    keys: dict[str, Any], message: str, make_document: MakeDocument, save: Save
) -> None:
    path = save(make_document("adaptsegnet_multi", is_constant=False))
    with pytest.raises(ConfigError, match=message) as error:
        load_public(path, config(**keys), LABEL_SPACES["cityscapes19"])
    block = "model: {kind: deeplab_v2, backbone: resnet50, trunk: caffe, branches: 2, input: bgr_caffe, network_hw: "
    assert block in str(error.value)


@pytest.mark.parametrize(("branches", "trained"), [(4, 2), (2, 4)])
def test_branches_the_config_states_stand_against_the_evidence_with_a_warning(
    branches: int, trained: int, make_document: MakeDocument, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(make_document("single_level" if trained == 2 else "crst", is_constant=False))
    network, _ = load_public(path, config(**{**CAFFE, "branches": branches}), LABEL_SPACES["cityscapes19"])
    assert len([name for name in network.state_dict() if name.startswith("classifier.")]) == 2 * branches
    assert f"warning: {path}" in capsys.readouterr().err


def test_a_form_of_trunk_the_config_states_stands_with_a_warning(
    make_document: MakeDocument, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {"trunk": "torchvision", "input": "bgr_caffe"}
    network, _ = load_public(save(make_document("advent")), config(**keys), LABEL_SPACES["cityscapes19"])
    assert not network.align_corners
    assert "its trunk is 'caffe', the config says 'torchvision'; it goes on" in capsys.readouterr().err


def test_another_kind_of_network_is_refused_with_the_block_to_write(make_document: MakeDocument, save: Save) -> None:
    model = SmpConfig(kind="smp", architecture="unet", encoder="resnet34", network_hw=(64, 96))
    with pytest.raises(ConfigError, match=r"is a DeepLabV2, the config's model\.kind is 'smp'; describe it as"):
        load_public(save(make_document("advent")), model, LABEL_SPACES["cityscapes19"])


def test_initial_weights_start_a_trunk_and_leave_the_head_alone(make_document: MakeDocument, save: Save) -> None:
    document = make_document("initial")
    network = DeepLabV2("resnet50", 19, trunk="caffe")
    head = network.state_dict()["classifier.0.weight"].clone()
    load_trunk(save(document), network)
    assert torch.equal(network.state_dict()["stem.0.weight"], document["Scale.conv1.weight"])
    assert torch.equal(network.state_dict()["layer4.2.bn3.running_var"], document["Scale.layer4.2.bn3.running_var"])
    assert torch.equal(network.state_dict()["classifier.0.weight"], head)


def test_our_own_network_starts_a_trunk_too(save: Save) -> None:
    with torch.random.fork_rng():
        first, second = DeepLabV2("resnet18", 19), DeepLabV2("resnet18", 11)
    load_trunk(save(first.state_dict()), second)
    assert torch.equal(second.get_parameter("layer4.1.conv2.weight"), first.get_parameter("layer4.1.conv2.weight"))
    assert second.get_parameter("classifier.0.weight").shape[0] == 11


def test_a_trunk_of_another_depth_does_not_start_a_network(make_document: MakeDocument, save: Save) -> None:
    path = save(make_document("initial"))
    with pytest.raises(
        CheckpointError, match=r"\(a resnet50\) does not fit the trunk .* missing layer3\.10\.bn1\.bias"
    ):
        load_trunk(path, DeepLabV2("resnet101", 19, trunk="caffe"))
    with pytest.raises(CheckpointError, match=r"missing stem\.3\.weight|missing stem\.0\.weight|missing conv1|stem"):
        load_trunk(path, DeepLabV2("resnet50", 19, trunk="deep_stem"))


def test_half_precision_is_loaded_as_float32(make_document: MakeDocument, save: Save) -> None:
    document = {n: t.half() if t.is_floating_point() else t for n, t in make_document("crst").items()}
    network, _ = load_public(save(document), config(**FAMILIES["crst"][0]), LABEL_SPACES["cityscapes19"])
    assert network.state_dict()["stem.0.weight"].dtype == torch.float32
    assert np.isfinite(float(network.state_dict()["stem.0.weight"].sum()))
