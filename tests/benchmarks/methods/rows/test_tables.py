"""The built-in tables as cells of one run: which terms are on, what is shared, what is run at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from benchmarks.methods.cells.cells import Cell, Comparison
from benchmarks.methods.config import MethodsConfig
from benchmarks.methods.rows.row import ALL, Row
from benchmarks.methods.rows.tables import Table, build_tables
from runtime.config import load_config
from runtime.errors import ConfigError
from training.config import AdaptationConfig, TrainingConfig
from training.methods.choice import MethodConfig
from training.methods.iapc import IapcConfig

MakeRun = Callable[..., str]

OF_IAPC = ("ablation", "sensitivity", "variants")


def iapc_of(adaptation: AdaptationConfig) -> IapcConfig:
    assert isinstance(adaptation.method, IapcConfig)
    return adaptation.method


def tables_of(comparison: Comparison, **methods: Any) -> dict[str, Table]:
    adaptation = comparison.config.adaptation.model_dump()
    return {table.name: table for table in build_tables(MethodsConfig(**{"tables": OF_IAPC, **methods}), adaptation)}


def cells_of(comparison: Comparison, table: Table) -> dict[str, Cell]:
    return {row.title: comparison.cell(row, 0) for row in table.rows}


def test_ablation_switches_the_terms_of_its_name_on_and_the_others_off(comparison: Comparison) -> None:
    found = {}
    for title, cell in cells_of(comparison, tables_of(comparison)["ablation"]).items():
        method = iapc_of(cell.config.adaptation)
        weights = (method.importance_weighted, method.information, method.symmetric, method.enhanced)
        found[title] = (method.importance, *weights)
    assert found == {
        "P": ("none", 0.2, 0.0, 0.0, 0.0),
        "P+IA": ("prob_ratio", 0.2, 0.0, 0.0, 0.0),
        "P+IA+IM": ("prob_ratio", 0.2, 0.5, 0.0, 0.0),
        "PS": ("prob_ratio", 0.0, 0.0, 0.04, 0.0),
        "PE": ("prob_ratio", 0.0, 0.0, 0.0, 2.0),
        "PS+PE": ("prob_ratio", 0.0, 0.0, 0.04, 2.0),
        "all": ("prob_ratio", 0.2, 0.5, 0.04, 2.0),
    }


def test_term_that_is_off_takes_its_optional_companion_along(make_run: MakeRun, tmp_path: Path) -> None:
    overrides = ["adaptation.method.diversity=0.3"]
    config = load_config(Path(make_run(tmp_path)), "training", TrainingConfig, overrides)
    comparison = Comparison.of("run", config, MethodsConfig())
    cells = cells_of(comparison, tables_of(comparison)["ablation"])
    found = {title: iapc_of(cell.config.adaptation).diversity for title, cell in cells.items()}
    assert found == {"P": 0, "P+IA": 0, "P+IA+IM": 0.3, "PS": 0, "PE": 0, "PS+PE": 0, "all": 0.3}


def test_published_figures_are_those_of_the_paper(comparison: Comparison) -> None:
    tables = tables_of(comparison)
    published = [row.published for row in tables["ablation"].rows]
    assert published == [43.5, 44.1, 46.3, 42.2, 47.7, 48.1, 49.4]
    curves: dict[str, list[tuple[float, float | None]]] = {}
    for row in tables["sensitivity"].rows:
        assert row.setting is not None
        curves.setdefault(row.setting[0], []).append((row.setting[1], row.published))
    assert curves == {
        "importance_weighted": [(0.1, 49.1), (0.2, 49.4), (0.3, 48.8), (0.4, 48.8)],
        "information": [(0.3, 49.2), (0.4, 49.3), (0.5, 49.4), (0.6, 49.0), (0.7, 47.6)],
        "symmetric": [(0.02, 48.9), (0.03, 48.9), (0.04, 49.4), (0.05, 49.3), (0.06, 49.0)],
        "enhanced": [(1.0, 48.5), (1.5, 48.9), (2.0, 49.4), (2.5, 49.1), (3.0, 49.2)],
    }


def test_configured_weight_is_a_point_of_its_curve_and_the_cell_of_all(comparison: Comparison) -> None:
    everything = comparison.cell(ALL, 0).fingerprint
    for values, num_rows in (("all", 19), ("ends", 12)):
        rows = tables_of(comparison, sensitivity_values=values)["sensitivity"].rows
        assert len(rows) == num_rows
        shared = [row.title for row in rows if comparison.cell(row, 0).fingerprint == everything]
        assert shared == ["importance_weighted 0.2", "information 0.5", "symmetric 0.04", "enhanced 2"]


def test_configured_weight_the_paper_did_not_try_joins_its_curve() -> None:
    method = {"name": "iapc", "importance_weighted": 0.25, "information": 0.5, "symmetric": 0.04, "enhanced": 2.0}
    config = MethodsConfig(tables=("sensitivity",), sensitivity_values="ends")
    (table,) = build_tables(config, {"method": method})
    points = [row.setting for row in table.rows if row.setting and row.setting[0] == "importance_weighted"]
    assert [value for _, value in points] == [0.1, 0.25, 0.4]
    assert [row.published for row in table.rows][:3] == [49.1, None, 48.8]


def test_grid_of_iapc_has_thirty_two_distinct_cells_a_seed(comparison: Comparison) -> None:
    """Seven of the ablation, fifteen more of the sensitivity, ten more of the variants."""
    tables = tables_of(comparison)
    assert list(tables) == ["ablation", "sensitivity", "variants"]
    assert len({cell.fingerprint for table in tables.values() for cell in cells_of(comparison, table).values()}) == 32


def test_every_variant_changes_something_but_the_configured_row(comparison: Comparison) -> None:
    cells = cells_of(comparison, tables_of(comparison)["variants"])
    assert [title for title, cell in cells.items() if not cell.changes] == ["all"]
    assert len({json.dumps(cell.changes) for cell in cells.values()}) == len(cells)
    assert cells["temperature 1, absent classes masked"].changes == {"method.temperature": 1.0}


def test_cell_is_told_apart_by_seed_and_setting_and_steps_are_those_of_the_comparison(comparison: Comparison) -> None:
    row = Row("longer", {"iterations": 9})
    assert comparison.cell(ALL, 0).config.adaptation.iterations == 7
    assert comparison.cell(row, 0).config.adaptation.iterations == 9
    marks = [comparison.cell(one, seed).fingerprint for one in (ALL, row) for seed in (0, 1)]
    assert len(set(marks)) == 4
    assert [comparison.cell(ALL, seed).config.seed for seed in (0, 1)] == [0, 1]


def test_group_given_whole_is_not_changed_by_a_key_below_it(comparison: Comparison) -> None:
    given = {"name": "iapc", "temperature": 0.3}
    row = Row("warm", {"method": given, "method.temperature": 0.5})
    assert iapc_of(comparison.cell(row, 0).config.adaptation).temperature == 0.5
    assert given == {"name": "iapc", "temperature": 0.3}


def test_every_method_has_its_row(comparison: Comparison) -> None:
    table = tables_of(comparison, tables=("methods",))["methods"]
    found = {cell.config.adaptation.method.name for cell in cells_of(comparison, table).values()}
    members = get_args(get_args(MethodConfig)[0])
    assert found == {get_args(member.model_fields["name"].annotation)[0] for member in members}
    assert table.has_baselines


def test_no_two_rows_of_the_methods_are_the_same_setting(comparison: Comparison) -> None:
    cells = cells_of(comparison, tables_of(comparison, tables=("methods",))["methods"])
    assert len({cell.fingerprint for cell in cells.values()}) == len(cells)


def test_tables_of_iapcs_terms_are_refused_for_another_method(comparison: Comparison) -> None:
    adaptation = {"method": {"name": "tent"}}
    with pytest.raises(ConfigError, match=r"ablation vary the terms of iapc, and .* is tent"):
        build_tables(MethodsConfig(tables=("ablation",)), adaptation)
    assert [table.name for table in build_tables(MethodsConfig(tables=()), adaptation)] == ["rows"]


def test_iapc_plus_is_its_preset_on_whole_frames_for_as_many_steps_as_there_are(comparison: Comparison) -> None:
    whole = cells_of(comparison, tables_of(comparison, tables=("methods",))["methods"])["IAPC+"].config.adaptation
    base = comparison.config.adaptation
    sizes = {"train_hw": base.views.train_hw, "crop_hw": base.views.train_hw, "mirror": base.views.mirror}
    optimizer = {**base.optimizer.model_dump(), "warmup": base.iterations // 10, "horizon": base.iterations}
    given = {key: getattr(base, key) for key in ("iterations", "batch_size", "checkpoint_every", "max_lost_classes")}
    preset = AdaptationConfig.model_validate(
        {
            "preset": "iapc_plus",
            **given,
            "statistics_frames": base.statistics_frames,
            "views": sizes,
            "memory_hw": base.views.train_hw,
            "optimizer": {key: optimizer[key] for key in ("warmup", "horizon", "momentum", "backbone_multiplier")},
        }
    )
    assert whole.model_dump(exclude={"preset"}) == preset.model_dump(exclude={"preset"})


def test_each_row_of_the_ablation_of_iapc_plus_changes_one_part(comparison: Comparison) -> None:
    tables = tables_of(comparison, tables=("methods", "plus"))
    cells = cells_of(comparison, tables["plus"])
    whole = cells.pop("IAPC+")
    assert whole.fingerprint == cells_of(comparison, tables["methods"])["IAPC+"].fingerprint
    values, parts = whole.config.adaptation.model_dump(), {}
    for title, cell in cells.items():
        found = cell.config.adaptation.model_dump()
        parts[title] = {key for key in found if found[key] != values[key]}
    assert parts.pop("crops as configured") >= {"views"}
    assert {frozenset(part) for part in parts.values()} == {
        frozenset({key}) for key in ("pseudo_labels", "student_statistics", "optimizer", "method")
    }
    labels = [cell.config.adaptation.pseudo_labels.model_dump() for cell in cells.values()]
    differing = [
        [key for key, value in one.items() if value != values["pseudo_labels"][key]]
        for one in labels
        if one != values["pseudo_labels"]
    ]
    assert differing == [["scales"], ["exposures"], ["frame_shares"], ["balance"]]
    assert tables["plus"].has_baselines


def test_ablation_of_iapc_plus_is_there_whatever_method_is_configured(comparison: Comparison) -> None:
    adaptation = {**comparison.config.adaptation.model_dump(), "method": {"name": "tent"}}
    assert [table.name for table in build_tables(MethodsConfig(tables=("plus",)), adaptation)] == ["plus"]
