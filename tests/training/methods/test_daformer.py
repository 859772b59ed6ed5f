"""DAFormer: what is pasted where, how much it counts, and that source labels teach the student."""

from dataclasses import replace

import pytest
import torch

import training.methods.daformer as daformer
from training.methods.daformer import Daformer, DaformerConfig
from training.methods.method import Needs, Setting
from training.views.batch import SourceBatch, TargetBatch

NUM_CLASSES = 11
HW = (32, 48)


@pytest.fixture
def batch() -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    weak, student, source = (torch.randint(0, 256, (2, *HW, 3), dtype=torch.uint8, generator=rng) for _ in range(3))
    labels = torch.randint(0, NUM_CLASSES, (2, *HW), generator=rng)
    labels[:, :4] = 255
    return TargetBatch(
        ["a", "b"],
        memory=None,
        weak=weak,
        student=student,
        pseudo_labels=torch.zeros(2, *HW, dtype=torch.int64),
        importance=None,
        source=SourceBatch(["c", "d"], source, labels),
    )


def method_of(setting: Setting, **settings: float | None) -> Daformer:
    return Daformer(DaformerConfig.model_validate({"name": "daformer", **settings}), setting)


def test_needs_source_crops_of_rare_classes() -> None:
    assert DaformerConfig(name="daformer").needs == Needs(weak=True, source=True, rare_temperature=0.01)


def test_pasted_pixels_are_the_sources_and_count_in_full(
    setting: Setting, batch: TargetBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for change in ("jitter", "blur"):
        monkeypatch.setattr(daformer, change, lambda crops: crops)
    labels, weights = torch.full((2, *HW), 7), torch.full((2, *HW), 0.25)
    mixed = method_of(setting).mix(batch, labels, weights)
    assert batch.source is not None
    pasted, source = mixed.pasted, batch.source
    assert 0.3 < pasted[:, 4:].float().mean() < 0.7
    assert torch.equal(mixed.images[pasted], source.images[pasted])
    assert torch.equal(mixed.images[~pasted], batch.student[~pasted])
    assert torch.equal(mixed.labels[pasted], source.labels[pasted])
    assert (mixed.labels[~pasted] == 7).all()
    assert (mixed.weights[pasted] == 1).all()
    assert (mixed.weights[~pasted] == 0.25).all()


def test_unlabelled_source_pixels_are_never_pasted(setting: Setting, batch: TargetBatch) -> None:
    method = method_of(setting)
    for seed in range(20):
        torch.manual_seed(seed)
        mixed = method.mix(batch, torch.zeros(2, *HW, dtype=torch.int64), torch.ones(2, *HW))
        assert not mixed.pasted[:, :4].any()


def test_pasted_pixels_teach_even_where_the_teacher_is_sure_of_nothing(setting: Setting, batch: TargetBatch) -> None:
    terms = method_of(setting, threshold=1.0).losses(batch)
    assert set(terms) == {"source", "mixed"}
    assert float(terms["mixed"].detach()) > 0


def test_source_labels_are_learnt(setting: Setting, batch: TargetBatch) -> None:
    method = method_of(setting, mixed=0.0)
    optimizer = torch.optim.SGD([p for p in method.student.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(5):
        loss = method.losses(batch)["source"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_weight_of_the_source_is_a_factor(setting: Setting, batch: TargetBatch) -> None:
    found = []
    for weight in (1.0, 3.0):
        torch.manual_seed(0)
        with torch.no_grad():
            found.append(float(method_of(setting, source=weight).losses(batch)["source"]))
    assert found[1] == pytest.approx(3 * found[0], rel=1e-4)


def test_teacher_is_normalised_by_its_own_batch_and_not_by_statistics_of_two_domains(
    setting: Setting, batch: TargetBatch
) -> None:
    assert batch.weak is not None
    method, fixed = method_of(setting), method_of(replace(setting, has_fixed_statistics=True))
    found, kept = ([], [])
    for _ in range(2):
        found.append(method.teacher.probs(batch.weak, HW))
        kept.append(fixed.teacher.probs(batch.weak, HW))
        for one in (method, fixed):
            for name, buffer in one.teacher.network.named_buffers():
                if name.endswith("running_mean"):
                    buffer.add_(3.0)
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(kept[0], kept[1], atol=1e-2)
