"""Presets: the published values, which keys they settle, and that a key given explicitly wins."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from training.config import AdaptationConfig, OptimizerConfig, PseudoLabelConfig, ViewConfig
from training.methods.iapc import IapcConfig
from training.presets import PRESETS


def resolved(**given: Any) -> AdaptationConfig:
    return AdaptationConfig.model_validate({"preset": "iapc_paper", **given})


def iapc_of(adaptation: AdaptationConfig) -> IapcConfig:
    assert isinstance(adaptation.method, IapcConfig)
    return adaptation.method


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def test_paper_preset_has_the_published_values() -> None:
    paper = resolved()
    method, views, optimizer = iapc_of(paper), paper.views, paper.optimizer
    assert (method.importance, method.importance_view, method.absent) == ("prob_ratio", "crop", "zero")
    assert (method.importance_weighted, method.information, method.symmetric, method.enhanced) == (0.2, 0.5, 0.04, 2.0)
    assert (method.temperature, method.rare_boost, method.ema_momentum, method.diversity) == (1.0, 7.0, 0.9999, 0.0)
    assert (sorted(paper.pseudo_labels.scales), paper.pseudo_labels.mirror) == ([0.75, 1.0, 1.25], True)
    assert (views.train_hw, views.scale, views.crop_hw, views.mirror) == ((640, 1280), (0.8, 1.2), (256, 512), 0.5)
    assert (paper.memory_hw, paper.min_classes, paper.photometric) == ((640, 1280), 11, True)
    assert (paper.iterations, paper.batch_size, paper.statistics_share) == (9000, 6, 0.0)
    assert (optimizer.name, optimizer.learning_rate, optimizer.momentum) == ("sgd", 1e-4, 0.9)
    assert (optimizer.backbone_multiplier, optimizer.head_multiplier, optimizer.weight_decay) == (1.0, 10.0, 5e-4)
    assert (optimizer.warmup, optimizer.horizon) == (5000, 100_000)
    assert (paper.student_statistics, paper.settled_statistics, paper.clean_forward) == ("batch", "estimated", None)


def test_code_preset_differs_from_the_papers_where_the_code_does() -> None:
    paper, code = flat(resolved().model_dump()), flat(resolved(preset="iapc_code").model_dump())
    differing = {key: code[key] for key in code if paper.get(key) != code[key]}
    assert differing == {
        "preset": "iapc_code",
        "method.importance": "logit_ratio",
        "method.information": 2.0,
        "method.enhanced": 0.5,
        "settled_statistics": "running",
        "clean_forward.frame_hw": (512, 1024),
        "optimizer.backbone_multiplier": 3.0,
    }


@pytest.mark.parametrize("name", ["iapc_code", "iapc_paper"])
def test_preset_settles_every_key_so_that_no_default_can_move_a_published_run(name: str) -> None:
    preset = AdaptationConfig.model_validate({"preset": name})
    assert preset.model_fields_set == set(AdaptationConfig.model_fields) - {"checkpoint_every"}
    for group, model in (
        (preset.method, IapcConfig),
        (preset.pseudo_labels, PseudoLabelConfig),
        (preset.views, ViewConfig),
        (preset.optimizer, OptimizerConfig),
    ):
        assert group.model_fields_set == set(model.model_fields), model.__name__


def test_given_key_wins_and_its_neighbours_stay() -> None:
    config = resolved(iterations=20, method={"information": 0.7}, optimizer={"warmup": 10})
    assert (config.iterations, iapc_of(config).information, config.optimizer.warmup) == (20, 0.7, 10)
    assert (iapc_of(config).enhanced, iapc_of(config).absent) == (2.0, "zero")
    assert (config.optimizer.horizon, config.batch_size) == (100_000, 6)


def test_given_null_wins_over_a_group() -> None:
    assert resolved(preset="iapc_code", clean_forward=None).clean_forward is None


def test_group_given_as_an_object_wins_with_what_was_set_of_it() -> None:
    config = AdaptationConfig.model_validate(
        {"preset": "iapc_paper", "method": IapcConfig(name="iapc", information=0.7)}
    )
    assert (iapc_of(config).information, iapc_of(config).temperature) == (0.7, 1.0)


def test_another_member_of_a_union_takes_nothing_from_the_presets_member() -> None:
    config = resolved(optimizer={"name": "adamw", "learning_rate": 1e-3})
    assert config.optimizer == OptimizerConfig(name="adamw", learning_rate=1e-3)
    assert "backbone_multiplier" not in config.optimizer.model_fields_set


def test_reading_the_resolved_config_again_changes_nothing() -> None:
    config = resolved(preset="iapc_code", iterations=20)
    assert AdaptationConfig.model_validate_json(config.model_dump_json()) == config


def test_presets_are_not_changed_by_use() -> None:
    before = flat(PRESETS["iapc_paper"])
    resolved(method={"information": 0.9}, views={"mirror": 0.0})
    assert flat(PRESETS["iapc_paper"]) == before


def test_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="'iapc_paper', 'iapc_code' or 'iapc_plus'"):
        resolved(preset="iapc_minus")


def test_iapc_plus_leaves_sizes_and_steps_to_the_run_file_and_settles_the_rest() -> None:
    given = {
        "views": {"train_hw": [64, 96], "crop_hw": [64, 96]},
        "memory_hw": [64, 96],
        "iterations": 9,
        "batch_size": 2,
    }
    config = resolved(preset="iapc_plus", **given, optimizer={"warmup": 1, "horizon": 9})
    assert config.method.model_dump(include={"name", "rare_boost"}) == {"name": "pseudo_label", "rare_boost": 1.0}
    assert (config.student_statistics, config.photometric) == ("fixed", False)
    labels = config.pseudo_labels
    assert (labels.scales, labels.mirror, labels.exposures) == ((1.0, 1.5), True, "auto")
    assert (labels.frame_shares, labels.balance) == ((0.0, 0.3), 0.4)
    assert (config.views.scale, config.views.crop_hw, config.optimizer.horizon) == ((1.0, 1.3), (64, 96), 9)
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("adamw", 1e-4)
    with pytest.raises(ValidationError, match=r"(?s)train_hw.*crop_hw.*memory_hw.*iterations.*batch_size"):
        AdaptationConfig.model_validate({"preset": "iapc_plus"})


def test_without_a_preset_nothing_is_filled() -> None:
    with pytest.raises(ValidationError, match=r"(?s)method.*views.*memory_hw.*iterations.*batch_size"):
        AdaptationConfig.model_validate({})


def test_clean_frame_smaller_than_the_crop_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"clean_forward.frame_hw=\(255, 512\) is smaller than views.crop_hw"):
        resolved(clean_forward={"frame_hw": [255, 512]})


def test_clean_forward_with_fixed_statistics_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"clean_forward moves running statistics, which .*fixed keeps"):
        resolved(preset="iapc_code", student_statistics="fixed")
