"""PGPC: when the contrast begins, which cells are anchors, what is remembered, and whom it teaches."""

import copy
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from runtime.errors import ConfigError
from training.checkpoint import NetworkSpec
from training.device import Compute
from training.methods.choice import MethodConfig, build_method
from training.methods.method import Setting
from training.methods.parts.category_contrast import CategoryContrast, ContrastConfig
from training.methods.pgpc import Pgpc, PgpcConfig, PgpcSourceFree, PgpcSourceFreeConfig, pasted_cells
from training.methods.self_training import Mixed
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import NetworkOutput
from training.statistics.batch_norm import use_batch_statistics
from training.views.batch import SourceBatch, TargetBatch

NUM_CLASSES = 11
HW = (32, 48)
NAMES = ["pgpc", "pgpc_source_free"]
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
# Without a warm-up, and with anchors of all cells.
AT_ONCE = {"warmup": 0.0, "sure_share": 0.5, "least_probability": 0.0, "queue": 64}


@pytest.fixture
def setting(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> Setting:
    prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
    return Setting(copy.deepcopy(network), spec.frame_input(), prior, compute, iterations=4)


@pytest.fixture
def batch() -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    weak, student, source = (torch.randint(0, 256, (2, *HW, 3), dtype=torch.uint8, generator=rng) for _ in range(3))
    labels = torch.randint(0, NUM_CLASSES, (2, *HW), generator=rng)
    return TargetBatch(
        ["a", "b"],
        memory=None,
        weak=weak,
        student=student,
        pseudo_labels=torch.zeros(2, *HW, dtype=torch.int64),
        importance=None,
        source=SourceBatch(["c", "d"], source, labels),
    )


def method_of(setting: Setting, name: str, **contrast: Any) -> Pgpc | PgpcSourceFree:
    method = build_method(ADAPTER.validate_python({"name": name, "contrast": contrast}), setting)
    assert isinstance(method, Pgpc | PgpcSourceFree)
    # By its first statistics an untrained network gives every pixel one class.
    use_batch_statistics(method.teacher.network)
    return method


def step(method: Pgpc | PgpcSourceFree, batch: TargetBatch) -> set[str]:
    terms = method.losses(batch)
    method.after_step()
    return set(terms)


def test_one_learns_from_source_crops_and_the_other_cannot() -> None:
    assert PgpcConfig(name="pgpc").needs.source
    assert not PgpcSourceFreeConfig(name="pgpc_source_free").needs.source


@pytest.mark.parametrize("name", NAMES)
def test_contrast_begins_when_the_warmup_is_over(setting: Setting, batch: TargetBatch, name: str) -> None:
    method = method_of(setting, name, warmup=0.5)
    found = [step(method, batch) for _ in range(4)]
    assert ["contrast" in terms for terms in found] == [False, False, True, True]
    assert {"mixed"} <= found[0]


@pytest.mark.parametrize("name", NAMES)
def test_contrast_teaches_the_trunk_and_the_projection_and_never_the_teacher(
    setting: Setting, batch: TargetBatch, name: str
) -> None:
    method = method_of(setting, name, **AT_ONCE)
    torch.manual_seed(0)
    contrast = method.losses(batch)["contrast"]
    assert float(contrast.detach()) > 0
    contrast.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.heads.parameters())
    taught = {name.split(".")[0] for name, p in method.student.named_parameters() if p.grad is not None}
    assert "layer3" in taught
    assert "classifier" not in taught
    assert not any(p.requires_grad for p in method.teacher.network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_contrast_gets_smaller_when_it_is_learnt(setting: Setting, batch: TargetBatch, name: str) -> None:
    method = method_of(setting, name, **AT_ONCE)
    optimizer = torch.optim.SGD(method.heads.parameters(), lr=20.0)
    losses = []
    for _ in range(12):
        torch.manual_seed(0)
        contrast = method.losses(batch)["contrast"]
        optimizer.zero_grad()
        contrast.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(contrast.detach()))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_teachers_projection_follows(setting: Setting, batch: TargetBatch, name: str) -> None:
    method = method_of(setting, name)
    with torch.no_grad():
        for parameter in method.heads.parameters():
            parameter.add_(1.0)
    before = method.state()["contrast/projection/0.weight"].clone()
    step(method, batch)
    # As the teacher after its first step: 1 - 1 / 2 of the way.
    torch.testing.assert_close(method.state()["contrast/projection/0.weight"], before + 0.5)


def contrast_of(setting: Setting, **changes: Any) -> CategoryContrast:
    config = ContrastConfig.model_validate({"queue": 64, "sure_share": 0.5, **changes})
    return CategoryContrast(config, setting, 0.999)


def seen_of(setting: Setting, classes: list[int], sure: list[bool]) -> NetworkOutput:
    """One crop with a row of cells, each of a class, of which some are sure."""
    logits = torch.arange(NUM_CLASSES, 0, -1) * 0.01
    cells = torch.stack(
        [
            logits + (20.0 if is_sure else 1.0) * torch.eye(NUM_CLASSES)[c]
            for c, is_sure in zip(classes, sure, strict=True)
        ]
    )
    features = torch.randn(1, 256, 1, len(classes), generator=torch.Generator().manual_seed(1))
    return NetworkOutput(cells.T[None, :, None], features)


def test_anchors_are_the_sure_cells_and_prototypes_are_theirs_if_asked_for(setting: Setting) -> None:
    contrast = contrast_of(setting)
    seen = seen_of(setting, [3, 4, 5, 6], [True, False, False, True])
    assert contrast.remember_target(seen, has_prototypes=False).tolist() == [[[3, 255, 255, 6]]]
    assert not contrast.state()["contrast/prototypes/moves"].any()
    contrast.remember_target(seen, has_prototypes=True)
    assert contrast.state()["contrast/prototypes/moves"].nonzero()[:, 0].tolist() == [3, 6]


def test_unsure_target_cells_are_negatives_of_classes_at_the_rank_and_behind(setting: Setting) -> None:
    contrast = contrast_of(setting, rank=4)
    contrast.remember_target(seen_of(setting, [9, 3], [False, True]), has_prototypes=True)
    # Of the unsure cell 9 comes first, then 0, 1, 2; all from place 4 on are 3 to 8 and 10.
    pushed = contrast.state()["contrast/queues/pushed"].tolist()
    assert pushed == [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1]


def test_source_cells_give_prototypes_of_their_labels_and_negatives_of_what_they_are_taken_for(
    setting: Setting,
) -> None:
    contrast = contrast_of(setting, rank=3)
    # One of class 2 that is taken for 9, then 0 and 1; one without a label.
    contrast.remember_source(seen_of(setting, [9, 7], [True, True]), torch.tensor([[[2, 255]]]))
    state = contrast.state()
    assert state["contrast/queues/pushed"].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert state["contrast/prototypes/moves"].nonzero()[:, 0].tolist() == [2]


def test_step_fills_no_more_than_an_eighth_of_a_queue(setting: Setting) -> None:
    contrast = contrast_of(setting, queue=16, sure_share=0.0)
    contrast.remember_target(seen_of(setting, [9] * 30, [False] * 30), has_prototypes=False)
    assert int(contrast.state()["contrast/queues/pushed"].max()) == 2


def test_nothing_to_contrast_gives_zero_with_a_gradient(setting: Setting) -> None:
    features = torch.randn(1, 256, 2, 3, requires_grad=True)
    loss = contrast_of(setting).loss(features, torch.full((1, 2, 3), 4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert features.grad is not None


def test_rank_that_leaves_no_negative_is_refused(setting: Setting) -> None:
    with pytest.raises(ConfigError, match=r"contrast.rank=11 leaves no negative among 11 classes"):
        contrast_of(setting, rank=11)


def test_cell_is_pasted_where_its_first_pixel_is() -> None:
    pasted = torch.zeros(1, 4, 6, dtype=torch.bool)
    pasted[0, 0, 2] = pasted[0, 3, 5] = True
    mixed = Mixed(torch.empty(0), torch.empty(0), torch.empty(0), pasted)
    assert pasted_cells(mixed, torch.empty(1, 2, 3)).tolist() == [[[False, True, False], [False, False, False]]]


def test_no_anchor_lies_where_a_source_pixel_was_pasted(
    setting: Setting, batch: TargetBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = method_of(setting, "pgpc", **AT_ONCE)
    given: list[torch.Tensor] = []

    def loss(_: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
        given.append(anchors)
        return anchors.sum()

    monkeypatch.setattr(method.contrast, "loss", loss)
    assert batch.weak is not None
    labels, weights = method.teach(batch.weak, HW)
    method.losses(batch)
    pasted = torch.zeros(2, *HW, dtype=torch.bool)
    pasted[0] = True
    mixed = Mixed(batch.student, labels, weights, pasted)
    method.mixed_terms(method.student(torch.zeros(2, 3, *HW)), mixed, torch.ones(NUM_CLASSES))
    assert (given[-1][0] == 255).all()
    assert (given[-1][1] != 255).any()
