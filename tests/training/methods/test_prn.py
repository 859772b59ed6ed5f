"""PRN: what its refinement network is shown, when its labels are taught, and who learns from what."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from torch.utils.data import Dataset

from training.checkpoint import NetworkSpec, read_tensors
from training.config import OptimizerConfig
from training.device import Compute
from training.methods.choice import MethodConfig, build_method
from training.methods.method import Method, Needs, Setting
from training.methods.parts.refiner import Refiner, RefinerConfig
from training.methods.prn import Prn, shared_out
from training.methods.prn_source_free import PrnSourceFree
from training.methods.self_training import labels_and_weights
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import NetworkOutput
from training.trainer import Run, train
from training.views.batch import SourceBatch, TargetBatch

NUM_CLASSES = 11
STEPS = 4
NAMES = ["prn", "prn_source_free"]
HW = (32, 48)
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
# Trust in whatever is most likely: a network of random weights is sure of nothing.
TRUSTING = {"trusted": 0.0, "refined_after": 0.5}


@dataclass
class Crops(Dataset[TargetBatch]):
    """Noise, a pure function of the step; can fail at one. Some source pixels have no label."""

    has_source: bool = True
    fails_at: int | None = None

    def __getitem__(self, step: int) -> TargetBatch:
        if step == self.fails_at:
            raise RuntimeError("killed")
        rng = torch.Generator().manual_seed(step)
        weak, student, images = (torch.randint(0, 256, (2, *HW, 3), dtype=torch.uint8, generator=rng) for _ in "wsi")
        names, labels = [f"a{step}", f"b{step}"], torch.randint(0, NUM_CLASSES, (2, *HW), generator=rng)
        labels[:, :8] = 255
        source = SourceBatch(names, images, labels) if self.has_source else None
        return TargetBatch(names, None, weak, student, torch.zeros_like(labels), None, source=source)


@pytest.fixture
def setting(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> Setting:
    prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
    return Setting(copy.deepcopy(network), spec.frame_input(), prior, compute, iterations=STEPS)


@pytest.fixture
def batch() -> TargetBatch:
    return Crops()[0]


def method_of(setting: Setting, name: str, **settings: Any) -> Prn | PrnSourceFree:
    torch.manual_seed(0)
    fresh = replace(setting, network=copy.deepcopy(setting.network))
    method = build_method(ADAPTER.validate_python({"name": name, **TRUSTING, **settings}), fresh)
    assert isinstance(method, Prn | PrnSourceFree)
    return method


def steps(method: Method[TargetBatch], folder: Path, *, fails_at: int | None = None) -> None:
    optimizer = OptimizerConfig(learning_rate=1e-3, warmup=0, horizon=100)
    folder.mkdir(exist_ok=True)
    compute = Compute(torch.device("cpu"), "fp32")
    crops = Crops(isinstance(method, Prn), fails_at)
    run = Run(folder, "mark", crops, STEPS, 2, 0, 2, optimizer, compute, 0, "test")
    train(method, run, compute.move)


def tensors_of(method: Method[TargetBatch]) -> dict[str, Tensor]:
    parts = {"student": method.student.state_dict(), "heads": method.heads.state_dict(), "method": method.state()}
    return {f"{part}/{name}": tensor.clone() for part, found in parts.items() for name, tensor in found.items()}


# Who learns


def test_needs() -> None:
    needs = {name: ADAPTER.validate_python({"name": name}).needs for name in NAMES}
    assert needs == {
        "prn": Needs(weak=True, source=True, rare_temperature=0.01),
        "prn_source_free": Needs(weak=True),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("term", "learns", "stays"),
    [("refinement", "heads.refinement", "student"), ("contrast", "student", "refinement")],
)
def test_refinement_learns_alone_and_contrast_teaches_the_student(
    setting: Setting, name: str, term: str, learns: str, stays: str
) -> None:
    method = method_of(setting, name, threshold=0.0)
    terms = method.losses(Crops(name == "prn")[0])
    assert set(terms) == {"mixed", "contrast", "refinement"} | ({"source"} if name == "prn" else set())
    terms[term].backward()  # type: ignore[no-untyped-call]
    named = {f"student.{key}": p for key, p in method.student.named_parameters()}
    named |= {f"heads.{key}": p for key, p in method.heads.named_parameters()}
    reached = {key for key, p in named.items() if p.grad is not None and p.grad.any()}
    assert any(key.startswith(learns) for key in reached)
    assert not any(stays in key for key in reached)


def test_source_and_teacher_never_learn(setting: Setting) -> None:
    method = method_of(setting, "prn_source_free")
    assert isinstance(method, PrnSourceFree)
    frozen = [*method.source.parameters(), *method.teacher.network.parameters()]
    assert not any(p.requires_grad for p in frozen)


@pytest.mark.parametrize("name", NAMES)
def test_run_moves_all_that_is_to_learn_and_a_killed_one_ends_with_the_same_bits(
    setting: Setting, tmp_path: Path, name: str
) -> None:
    whole = method_of(setting, name, threshold=0.0)
    before = tensors_of(whole)
    steps(whole, tmp_path / "whole")
    after = tensors_of(whole)
    for part in ("heads/refinement.correction.weight", "heads/refinement.noise.bias", "heads/projection.0.weight"):
        assert not torch.equal(before[part], after[part])
    with pytest.raises(RuntimeError, match="killed"):
        steps(method_of(setting, name, threshold=0.0), tmp_path / "killed", fails_at=3)
    resumed = method_of(setting, name, threshold=0.0)
    steps(resumed, tmp_path / "killed")
    assert [key for key, tensor in tensors_of(resumed).items() if not torch.equal(tensor, after[key])] == []
    states = [read_tensors(tmp_path / folder / "state.safetensors")[0] for folder in ("whole", "killed")]
    assert [key for key, tensor in states[0].items() if not torch.equal(tensor, states[1][key])] == []


# What is taught


@pytest.mark.parametrize(("name", "weight"), [("prn", 1.0), ("prn_source_free", 0.5)])
def test_labels_are_the_teachers_until_the_refinement_network_has_learnt(
    setting: Setting, batch: TargetBatch, name: str, weight: float
) -> None:
    method = method_of(setting, name, threshold=0.0, refined_after=0.5)
    assert batch.weak is not None
    with torch.no_grad():
        # Class 3 is what it says of everything.
        method.heads.get_parameter("refinement.correction.bias")[3] = 1e3
    taught = method.teacher.teach(batch.weak, HW)
    for _ in range(2):
        labels, weights = method.teach(batch.weak, HW)
        assert torch.equal(labels, taught.labels)
        assert bool((weights == 1).all())
        method.after_step()
    labels, weights = method.teach(batch.weak, HW)
    assert bool((labels == 3).all())
    # It suspects nothing more than anything else.
    assert bool((weights == weight).all())


@pytest.mark.parametrize(
    ("name", "settings", "weight"),
    [("prn", {}, 0.0), ("prn_source_free", {"kept_at_least": 0.2}, 0.2)],
)
def test_noise_is_left_out_by_the_paper_and_kept_a_little_by_the_port(
    setting: Setting, batch: TargetBatch, name: str, settings: dict[str, float], weight: float
) -> None:
    method = method_of(setting, name, refined_after=0.0, **settings)
    with torch.no_grad():
        method.heads.get_parameter("refinement.noise.bias").fill_(20.0)
    assert batch.weak is not None
    _, weights = method.teach(batch.weak, HW)
    torch.testing.assert_close(weights, torch.full((2, *HW), weight))


def test_loss_is_the_mean_over_the_pixels_that_are_kept() -> None:
    # Costs 1, 2, 3 and 4, of which the second and the fourth are kept; none at all costs nothing.
    kept = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    assert float((shared_out(kept) * torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).mean()) == 3
    assert not shared_out(torch.zeros(1, 2, 2)).any()


def test_refinement_learns_the_labels_of_source_crops(setting: Setting, batch: TargetBatch) -> None:
    # Nothing is as sure as this, so that target crops teach nothing.
    method = method_of(setting, "prn", trusted=1.0)
    assert batch.source is not None
    unlabelled = batch.source._replace(labels=torch.full_like(batch.source.labels, 255))
    torch.manual_seed(0)
    assert float(method.losses(batch)["refinement"].detach()) > 1
    assert float(method.losses(batch._replace(source=unlabelled))["refinement"].detach()) == 0


def test_unrefined_labels_weigh_the_share_of_sure_pixels() -> None:
    # Two pixels of four are surer than 0.9: 1 / (1 + e^-4) = 0.98.
    logits = torch.tensor([[[[4.0, 0.0], [4.0, 1.0]], [[0.0, 4.0], [1.0, 0.0]]]])
    logits[0, :, 0, 1] /= 4
    labels, weights = labels_and_weights(NetworkOutput(logits, logits), (2, 2), 0.9, align_corners=False)
    assert labels.tolist() == [[[0, 1], [0, 0]]]
    assert bool((weights == 0.5).all())


# What the refinement network is shown


def test_perturbation_keeps_high_frequencies_and_takes_low_ones(setting: Setting) -> None:
    refiner = Refiner(RefinerConfig(swapped=(0.25, 0.25)), setting)
    torch.manual_seed(0)
    logits, donors = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    found, own, other = (torch.fft.fft2(maps).abs() for maps in (refiner.perturbed(logits, donors), logits, donors))
    torch.testing.assert_close(found[:, :, 1, 1], other[:, :, 1, 1])
    torch.testing.assert_close(found[:, :, 4, 4], own[:, :, 4, 4])


def test_nothing_is_trusted_that_a_mirrored_or_smaller_crop_shows_otherwise(
    setting: Setting, batch: TargetBatch
) -> None:
    method = method_of(setting, "prn_source_free")
    assert isinstance(method, PrnSourceFree)
    assert batch.weak is not None
    logits = method.teacher.output(batch.weak).logits
    views = method.views(batch.weak, logits)
    assert [tuple(view.shape) for view in views] == [tuple(logits.shape)] * 3
    # The network is no function of which way it looks: mirrored by hand, it says what the second view does.
    by_hand = method.teacher.output(torch.flip(batch.weak, (2,))).logits[..., torch.arange(5, -1, -1)]
    assert torch.equal(views[1], by_hand)


def test_features_of_other_sizes_than_the_logits_serve(setting: Setting) -> None:
    refiner = Refiner(RefinerConfig(), setting)
    features = torch.randn(2, 256, 2, 3)
    loss = refiner.loss(features, torch.randn(2, NUM_CLASSES, 4, 6), torch.zeros(2, 4, 6, dtype=torch.int64))
    assert bool(loss.isfinite())
    contrast = refiner.contrast(features, torch.zeros(2, *HW, dtype=torch.int64), torch.ones(2, *HW))
    assert float(contrast.detach()) > 0


def test_contrast_ignores_what_is_unlabelled_or_held_to_be_noise(setting: Setting) -> None:
    refiner = Refiner(RefinerConfig(), setting)
    features = torch.randn(1, 256, 4, 6)
    for labels, weight in ((255, 1.0), (0, 0.4)):
        contrast = refiner.contrast(features, torch.full((1, 4, 6), labels), torch.full((1, 4, 6), weight))
        assert float(contrast.detach()) == 0


@pytest.mark.parametrize("value", [{"swapped": (0.1, 0.6)}, {"refined_after": 1.5}, {"kept_at_least": 1.0}])
def test_settings_that_cannot_be_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(value))):
        ADAPTER.validate_python({"name": "prn_source_free", **value})
