"""Methods that also learn from labelled source crops: their losses by hand, and runs that stop and go on."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor
from torch.utils.data import Dataset

from training.checkpoint import NetworkSpec, read_tensors
from training.config import OptimizerConfig
from training.device import Compute
from training.methods.adv_ent import self_information
from training.methods.choice import MethodConfig, build_method
from training.methods.fda import Fda, FdaConfig, robust_entropy
from training.methods.method import Method, Setting
from training.methods.uda_clu import centroid_distance, orthogonality_loss, sparsity_loss, spread_loss
from training.networks.deeplab_v2 import DeepLabV2
from training.trainer import Run, train
from training.views.batch import SourceBatch, TargetBatch

NUM_CLASSES = 11
STEPS = 3
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
TERMS = {
    "adapt_seg_net": {"source", "adversarial"},
    "adv_ent": {"source", "adversarial"},
    "fda": {"source", "entropy"},
    "uda_clu": {"source", "clustering", "orthogonality", "sparsity", "square"},
}
NAMES = sorted(TERMS)
MakeMethod = Callable[..., Method[TargetBatch]]


def batch_of(step: int) -> TargetBatch:
    """Two source crops of 32x48 and two darker target crops."""
    rng = torch.Generator().manual_seed(step)
    images = torch.randint(0, 256, (4, 32, 48, 3), dtype=torch.uint8, generator=rng)
    labels = torch.randint(0, NUM_CLASSES, (4, 32, 48), generator=rng)
    weak = images[2:] // 3
    source = SourceBatch(["s", "t"], images[:2], labels[:2])
    return TargetBatch(["a", "b"], None, weak, weak.flip(3), labels[2:], importance=None, source=source)


class Batches(Dataset[TargetBatch]):
    """A batch for each step; the run is killed before one."""

    def __init__(self, killed_at: int | None = None) -> None:
        self.killed_at = killed_at

    def __getitem__(self, step: int) -> TargetBatch:
        if step == self.killed_at:
            raise RuntimeError("killed")
        return batch_of(step)


@pytest.fixture
def make_method(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> MakeMethod:
    """Builds a method from the same network with the same draws, as a run does that is started again."""

    def make(name: str, **settings: Any) -> Method[TargetBatch]:
        prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
        setting = Setting(copy.deepcopy(network), spec.frame_input(), prior, compute, iterations=STEPS)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build_method(ADAPTER.validate_python({"name": name, **settings}), setting)

    return make


@pytest.fixture
def run(tmp_path: Path, compute: Compute) -> Run[TargetBatch]:
    (tmp_path / "whole").mkdir()
    return Run(
        folder=tmp_path / "whole",
        fingerprint="abc",
        batches=Batches(),
        iterations=STEPS,
        batch_size=2,
        workers=0,
        checkpoint_every=1,
        optimizer=OptimizerConfig(learning_rate=1e-2, warmup=0, horizon=100),
        compute=compute,
        seed=0,
        title="source methods",
    )


def same(batch: TargetBatch) -> TargetBatch:
    return batch


# Losses


def log_probs_of(*pixels: list[float]) -> Tensor:
    """(1, C, 1, num pixels) log-probabilities."""
    return torch.tensor(pixels).T.log().reshape(1, len(pixels[0]), 1, len(pixels))


def test_self_information_is_a_share_of_the_largest_entropy() -> None:
    # log2 of four classes is 2: 1/2 * 1 / 2, 1/4 * 2 / 2, twice 1/8 * 3 / 2.
    found = self_information(log_probs_of([0.5, 0.25, 0.125, 0.125])).flatten().tolist()
    assert found == pytest.approx([0.25, 0.25, 0.1875, 0.1875])


def test_robust_entropy_is_a_power_of_the_squared_share() -> None:
    # One pixel knows nothing, share 1; one is torn between two classes of four, share 1/2: (1 + 1/16) / 2.
    log_probs = log_probs_of([0.25] * 4, [0.5, 0.5, 1e-30, 1e-30])
    assert float(robust_entropy(log_probs, 2.0)) == pytest.approx((1 + 1 / 16) / 2)
    assert float(robust_entropy(log_probs, 0.5)) == pytest.approx((1 + 1 / 2) / 2)


def test_distance_to_centroids_is_a_mean_over_the_classes_there_are() -> None:
    # Class 0: mean differences 1 and 3, class 2: 0.5; class 1 has no feature.
    features = torch.tensor([[1.0, 1.0], [0.0, 6.0], [5.0, 6.0]])
    centroids = torch.tensor([[0.0, 0.0], [9.0, 9.0], [5.0, 5.0]])
    found = centroid_distance(features, torch.tensor([0, 0, 2]), centroids)
    assert float(found) == pytest.approx(((1 + 3) / 2 + 0.5) / 2)


def test_spread_is_the_mean_distance_between_centroids() -> None:
    # Pairs: 2, 1 and 2 apart, mean over two channels.
    centroids = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0]])
    assert float(spread_loss(centroids)) == pytest.approx(-(2 + 1 + 3) / 3)
    assert float(spread_loss(centroids[:1])) == 0


def test_feature_that_is_like_one_centroid_alone_costs_nothing() -> None:
    centroids = torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    assert float(orthogonality_loss(torch.tensor([[1.0, 0.0]]), centroids)) == pytest.approx(0, abs=1e-6)
    # Alike to both: log 2, over two centroids.
    assert float(orthogonality_loss(torch.tensor([[1.0, 1.0]]), centroids)) == pytest.approx(math.log(2) / 2)


def test_channels_are_strong_or_silent() -> None:
    # Shares of the strongest channel: 1, 0, 1/2 and 1, 1, 1/4.
    centroids = torch.tensor([[4.0, 0.0, 2.0], [8.0, 8.0, 2.0]])
    assert float(sparsity_loss(centroids)) == pytest.approx(-(0.25 + 0.25 + 0 + 0.25 + 0.25 + 0.0625) / 6)


# Methods


@pytest.mark.parametrize("name", NAMES)
def test_each_term_reaches_the_student(make_method: MakeMethod, name: str) -> None:
    method = make_method(name)
    terms = method.losses(batch_of(0))
    assert set(terms) == TERMS[name]
    weights = [parameter for parameter in method.student.parameters() if parameter.requires_grad]
    for term in terms.values():
        gradients = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
        found = [gradient for gradient in gradients if gradient is not None]
        assert all(torch.isfinite(gradient).all() for gradient in found)
        assert any(gradient.any() for gradient in found)


@pytest.mark.parametrize("name", NAMES)
def test_source_labels_are_learnt_and_offline_labels_are_not_looked_at(make_method: MakeMethod, name: str) -> None:
    batch = batch_of(0)
    assert batch.source is not None
    unlabelled = batch.source._replace(labels=torch.full_like(batch.source.labels, 255))
    with torch.no_grad():
        terms = make_method(name).losses(batch)
        others = make_method(name).losses(batch._replace(pseudo_labels=batch.pseudo_labels.roll(1, 2)))
        without = make_method(name).losses(batch._replace(source=unlabelled))
    assert {key: float(term) for key, term in terms.items()} == {key: float(term) for key, term in others.items()}
    assert float(terms["source"]) > 1
    assert float(without["source"]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_run_that_was_killed_ends_with_the_same_bits(
    make_method: MakeMethod, run: Run[TargetBatch], tmp_path: Path, name: str
) -> None:
    train(make_method(name), run, same)
    (tmp_path / "killed").mkdir()
    again = replace(run, folder=tmp_path / "killed")
    with pytest.raises(RuntimeError, match="killed"):
        train(make_method(name), replace(again, batches=Batches(killed_at=2)), same)
    train(make_method(name), again, same)
    whole, resumed = (read_tensors(one.state_path)[0] for one in (run, again))
    assert whole.keys() == resumed.keys()
    assert [key for key, tensor in whole.items() if not torch.equal(tensor, resumed[key])] == []


def test_source_crops_get_the_strength_of_the_target_and_keep_their_labels(
    network: DeepLabV2, spec: NetworkSpec, compute: Compute
) -> None:
    setting = Setting(network, spec.frame_input(), torch.full((NUM_CLASSES,), 1.0), compute, iterations=STEPS)
    batch = batch_of(0)
    assert batch.source is not None
    assert batch.weak is not None
    styled = Fda(FdaConfig(name="fda"), setting).source_images(batch)
    assert styled.shape == batch.source.images.shape
    # The mean of each channel is the lowest frequency.
    torch.testing.assert_close(styled.mean(dim=(1, 2)), batch.weak.float().mean(dim=(1, 2)))
    plain = Fda(FdaConfig(name="fda", share=0.0), setting).source_images(batch)
    torch.testing.assert_close(plain, batch.source.images.float(), atol=1e-3, rtol=0)


def test_offline_labels_are_learnt_where_fda_is_told_to(make_method: MakeMethod) -> None:
    with torch.no_grad():
        terms = make_method("fda", pseudo_label=1.0).losses(batch_of(0))
    assert set(terms) == TERMS["fda"] | {"pseudo_label"}
    assert float(terms["pseudo_label"]) > 0
