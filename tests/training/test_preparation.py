"""What runs start from: shared by those that agree on it, and by no others."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.checkpoint import save_network
from training.config import TrainingConfig
from training.data.files import ImageFiles
from training.data.layouts import folder_images
from training.device import Compute
from training.networks.network import SegmentationNetwork
from training.preparation import Prepared, prepare
from training.source import load_source
from training.statistics.batch_norm import read_statistics

MakePrepared = Callable[..., Prepared]
FAST = {"statistics_share": 0.5}


@pytest.fixture
def prepare_for(world: Path, tmp_path: Path, make_settings: Callable[..., Any], compute: Compute) -> MakePrepared:
    """Prepares a run in `tmp_path/shared`; arguments replace keys of `adaptation`."""

    def make(**adaptation: Any) -> Prepared:
        config = TrainingConfig.model_validate(make_settings(world, tmp_path / "out", **{**FAST, **adaptation}))
        prepared = prepare(config, load_source(config), compute, tmp_path / "shared")
        prepared.make_labels(config.adaptation, compute)
        return prepared

    return make


def weights_of(network: SegmentationNetwork) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


def written(folder: Path) -> dict[str, int]:
    """All files below a folder, and when each was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "changes",
    [
        {"method": {"name": "iapc", "importance": "margin", "information": 0.0}},
        {"student_statistics": "fixed"},
        {"optimizer": {"learning_rate": 1e-4}, "iterations": 9},
    ],
    ids=["method", "student", "optimizer"],
)
def test_runs_that_differ_in_what_follows_share_what_they_start_from(
    prepare_for: MakePrepared, changes: dict[str, Any]
) -> None:
    first = prepare_for()
    before = written(first.folder)
    second = prepare_for(**changes)
    assert second.folder == first.folder
    assert written(first.folder) == before
    assert set(before) == {"initial.safetensors", *(f"pseudo_labels/{number:06d}.png" for number in range(5))}
    assert second.spec == first.spec
    found = weights_of(second.network)
    assert all(torch.equal(tensor, found[name]) for name, tensor in weights_of(first.network).items())
    assert not any(module.training for module in second.network.modules())


@pytest.mark.parametrize(
    "changes",
    [{"statistics_share": 0.25}, {"pseudo_labels": {"scales": [1.0], "mirror": True}}],
    ids=["statistics", "labels"],
)
def test_runs_that_start_from_something_else_do_not(prepare_for: MakePrepared, changes: dict[str, Any]) -> None:
    first, second = prepare_for(), prepare_for(**changes)
    assert second.folder != first.folder
    assert second.folder.parent == first.folder.parent
    assert len(list(first.folder.parent.iterdir())) == 2


def test_labels_are_of_the_frames_that_are_there(
    world: Path,
    tmp_path: Path,
    make_frames: Callable[..., Path],
    make_settings: Callable[..., Any],
    compute: Compute,
) -> None:
    """A frame that comes first moves the index of all others, by which their labels are kept."""
    folder = Path(shutil.copytree(world / "frames", tmp_path / "frames"))
    settings = make_settings(world, tmp_path / "out", **FAST)
    settings["target"]["adapt"]["root"] = str(folder)
    config = TrainingConfig.model_validate(settings)

    def prepared() -> Prepared:
        found = prepare(config, load_source(config), compute, tmp_path / "shared")
        found.make_labels(config.adaptation, compute)
        return found

    before = prepared()
    labels = {before.frames.name(index): before.pseudo_labels.label(index) for index in range(5)}
    kept = written(before.folder)
    make_frames(tmp_path / "more", count=1, first=77)
    (tmp_path / "more/077.png").rename(folder / "!first.png")
    after = prepared()
    assert after.folder != before.folder
    assert after.frames.name(0) == "!first.png"
    assert len(list(after.pseudo_labels.folder.iterdir())) == 6
    differing = [(after.pseudo_labels.label(index) != labels[after.frames.name(index)]).mean() for index in range(1, 6)]
    # Statistics are those of six frames in place of five, so that a few pixels differ.
    assert max(differing) < 0.2
    assert (after.pseudo_labels.label(1) != before.pseudo_labels.label(1)).mean() > 0.2
    (folder / "!first.png").unlink()
    assert prepared().folder == before.folder
    assert written(before.folder) == kept


def test_frames_that_are_open_are_those_that_are_prepared(
    world: Path, tmp_path: Path, make_settings: Callable[..., Any], compute: Compute
) -> None:
    config = TrainingConfig.model_validate(make_settings(world, tmp_path / "out", **FAST))
    two = ImageFiles(world / "frames", folder_images(world / "frames").paths[:2])
    found = prepare(config, load_source(config), compute, tmp_path / "shared", frames=two)
    assert len(found.frames) == 2
    assert found.folder != prepare(config, load_source(config), compute, tmp_path / "shared").folder


def test_share_is_blended_into_the_network_and_told(prepare_for: MakePrepared) -> None:
    ends = [prepare_for(statistics_share=share) for share in (0.0, 0.5, 1.0)]
    assert [prepared.spec.provenance["statistics_share"] for prepared in ends] == [0.0, 0.5, 1.0]
    source, half, target = (read_statistics(prepared.network)["stem.1"][0] for prepared in ends)
    torch.testing.assert_close(half, (source + target) / 2)
    assert not torch.equal(source, target)


@pytest.mark.parametrize("min_shift", [0.0, 0.001])
def test_what_was_decided_for_the_source_network_does_not_count_again(
    prepare_for: MakePrepared,
    world: Path,
    tmp_path: Path,
    make_settings: Callable[..., Any],
    compute: Compute,
    min_shift: float,
) -> None:
    left = prepare_for(min_shift=100.0)
    assert left.spec.provenance["is_same_domain"] is True
    save_network(tmp_path / "left.safetensors", left.network, left.spec)
    settings = make_settings(world, tmp_path / "out", **FAST, min_shift=min_shift)
    settings["source"] = {"kind": "checkpoint", "path": str(tmp_path / "left.safetensors")}
    config = TrainingConfig.model_validate(settings)
    again = prepare(config, load_source(config), compute, tmp_path / "again")
    assert again.spec.provenance["is_same_domain"] is False
    assert again.spec.provenance["statistics_share"] == 0.5


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_student_that_did_not_move_settles_where_it_started(
    prepare_for: MakePrepared,
    world: Path,
    tmp_path: Path,
    make_settings: Callable[..., Any],
    compute: Compute,
    share: float,
) -> None:
    prepared = prepare_for(statistics_share=share)
    started, target = read_statistics(prepared.network), read_statistics(prepare_for(statistics_share=1.0).network)
    for settled_as, expected in {"blended": started, "estimated": target}.items():
        changes = {"statistics_share": share, "settled_statistics": settled_as}
        settings = make_settings(world, tmp_path / "out", **changes)
        config = TrainingConfig.model_validate(settings).adaptation
        prepared.settle(prepared.network, config, compute)
        torch.testing.assert_close(read_statistics(prepared.network), expected)
    assert not torch.equal(started["stem.1"][0], target["stem.1"][0])


def test_forms_of_importance_lie_side_by_side(prepare_for: MakePrepared, compute: Compute) -> None:
    prepared = prepare_for()
    ratio, margin = (prepared.importance(form, compute) for form in ("prob_ratio", "margin"))
    assert (ratio.folder.parent, margin.folder.parent) == (prepared.folder, prepared.folder)
    assert (ratio.importance(0) != margin.importance(0)).any()
    before = written(ratio.folder)
    assert len(before) == 5
    prepare_for(iterations=9).importance("prob_ratio", compute)
    assert written(ratio.folder) == before
