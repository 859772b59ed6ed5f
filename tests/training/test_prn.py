"""PRN: what its refinement network is shown, when its labels are taught, and who learns from what."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from torch.utils.data import Dataset

from training.batch import TargetBatch
from training.checkpoint import NetworkSpec, read_tensors
from training.config import OptimizerConfig
from training.device import Compute
from training.methods.choice import MethodConfig, build_method
from training.methods.method import Setting
from training.methods.prn_source_free import PrnSourceFree
from training.methods.refiner import Refiner, RefinerConfig, unrefined
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import NetworkOutput
from training.trainer import Run, train

NUM_CLASSES = 11
STEPS = 4
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
# Trust in whatever is most likely: a network of random weights is sure of nothing.
TRUSTING = {"trusted": 0.0, "refined_after": 0.5}


@dataclass
class Crops(Dataset[TargetBatch]):
    """Noise, a pure function of the step; can fail at one."""

    fails_at: int | None = None

    def __getitem__(self, step: int) -> TargetBatch:
        if step == self.fails_at:
            raise RuntimeError("killed")
        rng = torch.Generator().manual_seed(step)
        weak, student = (torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng) for _ in range(2))
        labels = torch.zeros(2, 32, 48, dtype=torch.int64)
        return TargetBatch([f"a{step}", f"b{step}"], None, weak, student, labels, None)


@pytest.fixture
def setting(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> Setting:
    prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
    return Setting(copy.deepcopy(network), spec.frame_input(), prior, compute, iterations=STEPS)


@pytest.fixture
def batch() -> TargetBatch:
    return Crops()[0]


def prn(setting: Setting, **settings: Any) -> PrnSourceFree:
    fresh = Setting(
        copy.deepcopy(setting.network), setting.frame_input, setting.class_prior, setting.compute, iterations=STEPS
    )
    method = build_method(ADAPTER.validate_python({"name": "prn_source_free", **TRUSTING, **settings}), fresh)
    assert isinstance(method, PrnSourceFree)
    return method


def steps(method: PrnSourceFree, folder: Path, batches: Crops) -> None:
    optimizer = OptimizerConfig(learning_rate=1e-3, warmup=0, horizon=100)
    folder.mkdir(exist_ok=True)
    compute = Compute(torch.device("cpu"), "fp32")
    run = Run(folder, "mark", batches, STEPS, 2, 0, 1, optimizer, compute, 0, "test")
    train(method, run, compute.move)


def tensors_of(method: PrnSourceFree) -> dict[str, Tensor]:
    parts = {"student": method.student.state_dict(), "heads": method.heads.state_dict(), "method": method.state()}
    return {f"{part}/{name}": tensor.clone() for part, found in parts.items() for name, tensor in found.items()}


# Who learns


def test_refinement_learns_alone_and_contrast_teaches_the_student(setting: Setting, batch: TargetBatch) -> None:
    for term, learn, stay in (("refinement", "heads.refinement", "student"), ("contrast", "student", "refinement")):
        method = prn(setting, threshold=0.0)
        terms = method.losses(batch)
        assert set(terms) == {"mixed", "contrast", "refinement"}
        terms[term].backward()  # type: ignore[no-untyped-call]
        named = {f"student.{name}": p for name, p in method.student.named_parameters()}
        named |= {f"heads.{name}": p for name, p in method.heads.named_parameters()}
        reached = {name for name, p in named.items() if p.grad is not None and p.grad.any()}
        assert any(name.startswith(learn) for name in reached)
        assert not any(stay in name for name in reached)


def test_source_and_teacher_never_learn(setting: Setting) -> None:
    method = prn(setting)
    frozen = [*method.source.parameters(), *method.teacher.network.parameters()]
    assert not any(p.requires_grad for p in frozen)


def test_run_moves_all_that_is_to_learn_and_a_killed_one_ends_with_the_same_bits(
    setting: Setting, tmp_path: Path
) -> None:
    whole = prn(setting)
    before = tensors_of(whole)
    steps(whole, tmp_path / "whole", Crops())
    after = tensors_of(whole)
    for part in ("heads/refinement.correction.weight", "heads/refinement.noise.bias", "heads/projection.0.weight"):
        assert not torch.equal(before[part], after[part])
    with pytest.raises(RuntimeError, match="killed"):
        steps(prn(setting), tmp_path / "killed", Crops(fails_at=3))
    resumed = prn(setting)
    steps(resumed, tmp_path / "killed", Crops())
    assert [name for name, tensor in tensors_of(resumed).items() if not torch.equal(tensor, after[name])] == []
    states = [read_tensors(tmp_path / folder / "state.safetensors")[0] for folder in ("whole", "killed")]
    assert [name for name, tensor in states[0].items() if not torch.equal(tensor, states[1][name])] == []


# What is taught


def test_labels_are_the_teachers_until_the_refinement_network_has_learnt(setting: Setting, batch: TargetBatch) -> None:
    method = prn(setting, threshold=0.0, refined_after=0.5)
    assert batch.weak is not None
    with torch.no_grad():
        # Class 3 is what it says of everything.
        method.heads.get_parameter("refinement.correction.bias")[3] = 1e3
    taught = method.teacher.teach(batch.weak, (32, 48))
    for _ in range(2):
        labels, weights = method.teach(batch.weak, (32, 48))
        assert torch.equal(labels, taught.labels)
        assert bool((weights == 1).all())
        method.after_step()
    labels, weights = method.teach(batch.weak, (32, 48))
    assert bool((labels == 3).all())
    # It suspects nothing and everything alike.
    assert bool((weights == 0.5).all())


def test_class_that_is_held_to_be_noise_is_not_forgotten(setting: Setting, batch: TargetBatch) -> None:
    method = prn(setting, refined_after=0.0, kept_at_least=0.2)
    with torch.no_grad():
        method.heads.get_parameter("refinement.noise.bias").fill_(20.0)
    assert batch.weak is not None
    _, weights = method.teach(batch.weak, (32, 48))
    torch.testing.assert_close(weights, torch.full((2, 32, 48), 0.2))


def test_unrefined_labels_weigh_the_share_of_sure_pixels() -> None:
    # Two pixels of four are surer than 0.9: 1 / (1 + e^-4) = 0.98.
    logits = torch.tensor([[[[4.0, 0.0], [4.0, 1.0]], [[0.0, 4.0], [1.0, 0.0]]]])
    logits[0, :, 0, 1] /= 4
    labels, weights = unrefined(NetworkOutput(logits, logits), (2, 2), 0.9, align_corners=False)
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
    method = prn(setting)
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
    contrast = refiner.contrast(features, torch.zeros(2, 32, 48, dtype=torch.int64), torch.ones(2, 32, 48))
    assert float(contrast.detach()) > 0


def test_contrast_ignores_what_is_unlabelled_or_held_to_be_noise(setting: Setting) -> None:
    refiner = Refiner(RefinerConfig(), setting)
    features = torch.randn(1, 256, 4, 6)
    for labels, weight in ((255, 1.0), (0, 0.4)):
        contrast = refiner.contrast(features, torch.full((1, 4, 6), labels), torch.full((1, 4, 6), weight))
        assert float(contrast.detach()) == 0


def test_heads_start_alike_whatever_was_drawn_before(setting: Setting) -> None:
    first, _ = Refiner(RefinerConfig(), setting), torch.rand(7)
    second = Refiner(RefinerConfig(), setting)
    for one, other in zip(first.heads.parameters(), second.heads.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("value", [{"swapped": (0.1, 0.6)}, {"refined_after": 1.5}, {"kept_at_least": 1.0}])
def test_settings_that_cannot_be_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(value))):
        ADAPTER.validate_python({"name": "prn_source_free", **value})
