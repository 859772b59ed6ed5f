"""BiCL, its source-free port, category anchors and prototype denoising: steps on a tiny network, and `adapt`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from training import trainer
from training.__main__ import main
from training.checkpoint import read_tensors
from training.methods.choice import MethodConfig, build_method
from training.methods.method import Method, Setting
from training.views.batch import SourceBatch, TargetBatch

NUM_CLASSES = 11
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
# Terms of a step before contrast, or active pixels, begin, and those that are added then.
FIRST = {
    "bicl": {"source", "source_entropy", "pseudo_label", "entropy"},
    "bicl_source_free": {"pseudo_label", "entropy"},
    "cag": {"source", "source_pull"},
    "proda": {"symmetric", "uniformity", "consistency"},
}
LATER = {
    "bicl": {"forwards", "backwards"},
    "bicl_source_free": {"forwards", "backwards"},
    "cag": {"pseudo_label", "pull"},
    "proda": set[str](),
}
WITH_SOURCE = {"bicl", "cag"}
OPTIMIZER = {"learning_rate": 1e-3, "warmup": 0, "horizon": 100}
ROUNDS = {"bicl", "bicl_source_free"}


@pytest.fixture
def batch() -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng) for _ in range(3)]
    # Coarse, so that every class is left at the size of features; a quarter of the target is unlabelled.
    labels, source_labels = (
        torch.randint(0, 4, (2, 4, 6), generator=rng).repeat_interleave(8, 1).repeat_interleave(8, 2) for _ in range(2)
    )
    labels[:, :8] = 255
    source = SourceBatch(["c", "d"], images[2], source_labels)
    return TargetBatch(["a", "b"], None, images[0], images[1], labels, importance=None, source=source)


def method_of(setting: Setting, name: str, **settings: Any) -> Method[TargetBatch]:
    return build_method(ADAPTER.validate_python({"name": name, **settings}), setting)


def given(batch: TargetBatch, name: str) -> TargetBatch:
    """The batch as the method's needs leave it."""
    needs = ADAPTER.validate_python({"name": name}).needs
    return batch._replace(weak=batch.weak if needs.weak else None, source=batch.source if needs.source else None)


@pytest.mark.parametrize("name", sorted(FIRST))
def test_terms_are_finite_and_reach_student_and_heads(setting: Setting, batch: TargetBatch, name: str) -> None:
    method = method_of(setting, name)
    given_batch = given(batch, name)
    assert set(method.losses(given_batch)) == FIRST[name]
    method.after_step()
    terms = method.losses(given_batch)
    assert set(terms) == FIRST[name] | LATER[name]
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    trained = [p for p in (*method.student.parameters(), *method.heads.parameters()) if p.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in trained)


@pytest.mark.parametrize("name", sorted(FIRST))
def test_what_needs_say_is_all_that_is_looked_at(name: str) -> None:
    needs = ADAPTER.validate_python({"name": name}).needs
    assert needs.source == (name in WITH_SOURCE)
    assert needs.weak == (name not in WITH_SOURCE)
    assert (needs.rounds is not None) == (name in ROUNDS)


@pytest.mark.parametrize("name", sorted(FIRST))
def test_no_label_and_no_source_label_cost_nothing_that_is_not_finite(
    setting: Setting, batch: TargetBatch, name: str
) -> None:
    method = method_of(setting, name)
    assert batch.source is not None
    nothing = torch.full_like(batch.pseudo_labels, 255)
    empty = batch._replace(pseudo_labels=nothing, source=batch.source._replace(labels=nothing))
    for _ in range(2):
        terms = method.losses(given(empty, name))
        method.after_step()
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in method.student.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", ["bicl", "bicl_source_free"])
def test_contrast_gathers_the_pixels_of_a_class(setting: Setting, batch: TargetBatch, name: str) -> None:
    """Steps of the contrast terms alone, of features that learn fast, lower them."""
    method = method_of(setting, name)
    batch = given(batch, name)
    parameters = [*method.student.parameters(), *method.heads.parameters()]
    optimizer = torch.optim.SGD([p for p in parameters if p.requires_grad], lr=0.05)
    method.losses(batch)
    method.after_step()
    values = []
    for _ in range(8):
        terms = method.losses(batch)
        contrast = terms["forwards"] + terms["backwards"]
        optimizer.zero_grad()
        contrast.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        method.after_step()
        values.append(float(contrast.detach()))
    assert values[-1] < 0.9 * values[0]


def test_source_network_of_the_port_is_asked_in_the_first_steps_alone(setting: Setting, batch: TargetBatch) -> None:
    method, batch = method_of(setting, "bicl_source_free"), given(batch, "bicl_source_free")
    method.losses(batch)
    method.after_step()
    gathered = method.state()["source/means"].clone()
    assert gathered.any()
    method.losses(batch._replace(weak=255 - batch.student))
    assert torch.equal(method.state()["source/means"], gathered)


def test_port_without_a_step_to_gather_in_is_refused() -> None:
    with pytest.raises(ValidationError, match="contrast_start"):
        ADAPTER.validate_python({"name": "bicl_source_free", "contrast_start": 0.0})


def test_denoising_learns_the_labels_of_the_source_network_where_prototypes_agree(
    setting: Setting, batch: TargetBatch
) -> None:
    """Symmetric cross-entropy alone: the student comes to predict what it is taught."""
    method = method_of(setting, "proda", consistency=0.0, uniformity=0.0, rare_boost=1.0)
    batch = given(batch, "proda")
    optimizer = torch.optim.SGD([p for p in method.student.parameters() if p.requires_grad], lr=0.01)
    values = []
    for _ in range(6):
        loss = method.losses(batch)["symmetric"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.7 * values[0]


# `adapt`


@pytest.fixture(scope="module")
def labelled(world: Path, make_frames: Callable[..., Path]) -> Path:
    """Four labelled source frames."""
    folder = world / "labelled"
    make_frames(folder / "train", count=4, first=20)
    for part in ("trainannot", "splits"):
        (folder / part).mkdir()
    names = sorted(path.name for path in (folder / "train").iterdir())
    (folder / "splits/day.txt").write_text("".join(f"train/{name}\n" for name in names))
    for number, name in enumerate(names):
        labels = np.random.default_rng(number).integers(0, 12, (8, 12), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(labels).save(folder / "trainannot" / name)
    return folder


@pytest.mark.parametrize("name", sorted(FIRST))
def test_run_stopped_between_steps_ends_with_the_same_bits(
    world: Path,
    labelled: Path,
    make_settings: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    method = {"name": name, **({"rounds": 2} if name in ROUNDS else {})}

    def run(output: Path) -> None:
        settings = make_settings(world, output, method=method, optimizer=OPTIMIZER)
        settings["source"]["frames"] = {"layout": "camvid", "root": str(labelled), "split": "day"}
        path = output.with_suffix(".yaml")
        path.write_text(yaml.safe_dump({"training": settings}))
        assert main(["adapt", str(path)]) == 0

    def tensors(output: Path) -> dict[str, Tensor]:
        return read_tensors(output / "adapted.safetensors")[0]

    run(tmp_path / "whole")
    with monkeypatch.context() as patched:
        stop_after(patched, steps=2)
        with pytest.raises(RuntimeError, match="killed"):
            run(tmp_path / "cut")
    assert not (tmp_path / "cut/adapted.safetensors").exists()
    run(tmp_path / "cut")
    whole, cut = tensors(tmp_path / "whole"), tensors(tmp_path / "cut")
    assert [key for key, tensor in whole.items() if not torch.equal(tensor, cut[key])] == []
    source = read_tensors(world / "source.safetensors")[0]
    assert any(not torch.equal(tensor, source[key]) for key, tensor in whole.items() if "running" not in key)


def stop_after(patched: pytest.MonkeyPatch, *, steps: int) -> None:
    """Let the trainer be interrupted before the step after so many."""
    step_of = trainer.training_step
    done = 0

    def step(*arguments: Any, **keywords: Any) -> dict[str, float]:
        nonlocal done
        if done == steps:
            raise RuntimeError("killed")
        done += 1
        return step_of(*arguments, **keywords)

    patched.setattr(trainer, "training_step", step)
