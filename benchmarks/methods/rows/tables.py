"""The built-in tables: which settings each row changes, and what the paper (arXiv 2306.01598) measured for it.

Published figures are mIoU of GTA5 -> Cityscapes with DeepLabV2-ResNet-101, one run each, and stand beside ours for
the order of things, never for a comparison of values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from benchmarks.methods.config import MethodsConfig, TableName
from benchmarks.methods.rows.method_rows import method_rows
from benchmarks.methods.rows.plus_rows import plus_rows
from benchmarks.methods.rows.row import ALL, Row
from runtime.errors import ConfigError

__all__ = ["PUBLISHED_SOURCE", "Table", "build_tables"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading.

    With `has_baselines` the rows without a gradient step and the oracle stand beside, and gains are over the source;
    gains of other tables are over the row `all`. Rows that are `is_ranked` stand in the order of what they reach.
    """

    name: str
    heading: str
    rows: tuple[Row, ...]
    has_baselines: bool = False
    is_ranked: bool = False


_NO_PSEUDO_LABELS = {"method.importance_weighted": 0.0}
_NO_INFORMATION = {"method.information": 0.0, "method.diversity": 0.0}
_NO_SYMMETRIC = {"method.symmetric": 0.0}
_NO_ENHANCED = {"method.enhanced": 0.0}
_NO_PROTOTYPES = {**_NO_SYMMETRIC, **_NO_ENHANCED}
_PROTOTYPES_ONLY = {**_NO_PSEUDO_LABELS, **_NO_INFORMATION}

PUBLISHED_SOURCE = 36.6

# The weights that stay are the configured ones: "P" is the weighted term with an importance of 1 everywhere.
ABLATION = (
    Row("P", {"method.importance": "none", **_NO_INFORMATION, **_NO_PROTOTYPES}, published=43.5),
    Row("P+IA", {**_NO_INFORMATION, **_NO_PROTOTYPES}, published=44.1),
    Row("P+IA+IM", _NO_PROTOTYPES, published=46.3),
    Row("PS", {**_PROTOTYPES_ONLY, **_NO_ENHANCED}, published=42.2),
    Row("PE", {**_PROTOTYPES_ONLY, **_NO_SYMMETRIC}, published=47.7),
    Row("PS+PE", _PROTOTYPES_ONLY, published=48.1),
    ALL,
)

SENSITIVITY: Mapping[str, Mapping[float, float]] = {
    "importance_weighted": {0.1: 49.1, 0.2: 49.4, 0.3: 48.8, 0.4: 48.8},
    "information": {0.3: 49.2, 0.4: 49.3, 0.5: 49.4, 0.6: 49.0, 0.7: 47.6},
    "symmetric": {0.02: 48.9, 0.03: 48.9, 0.04: 49.4, 0.05: 49.3, 0.06: 49.0},
    "enhanced": {1.0: 48.5, 1.5: 48.9, 2.0: 49.4, 2.5: 49.1, 3.0: 49.2},
}

VARIANTS = (
    ALL,
    Row("importance: none", {"method.importance": "none"}),
    Row("importance: logit ratio (the code's)", {"method.importance": "logit_ratio"}),
    Row("importance: margin", {"method.importance": "margin"}),
    Row("importance judged on every crop", {"method.importance_view": "crop"}),
    Row("temperature 1, absent classes 0 (the paper's)", {"method.temperature": 1.0, "method.absent": "zero"}),
    Row("temperature 1, absent classes masked", {"method.temperature": 1.0, "method.absent": "mask"}),
    Row("temperature 0.1, absent classes 0", {"method.temperature": 0.1, "method.absent": "zero"}),
    Row("information 2, enhanced 0.5 (the code's)", {"method.information": 2.0, "method.enhanced": 0.5}),
    Row("no class weights (rare_boost 1)", {"method.rare_boost": 1.0}),
    # At the start alone: what was trained by batch suits no statistics but the target's.
    Row("no target statistics (share 0)", {"statistics_share": 0.0, "settled_statistics": "estimated"}),
)


def build_tables(config: MethodsConfig, adaptation: Mapping[str, Any]) -> list[Table]:
    """The tables that are asked for, and one of the user's own rows where there are any.

    Args:
        config: which tables.
        adaptation: the configured adaptation as plain values; its weights are points of the sensitivity curves too.

    Raises:
        ConfigError: a table varies IAPC, and another method is configured.
    """
    name = adaptation["method"]["name"]
    if name != "iapc" and (vary_iapc := [table for table in config.tables if table not in ("methods", "plus")]):
        raise ConfigError(
            f"methods.tables {', '.join(vary_iapc)} vary the terms of iapc, and adaptation.method is {name}; set "
            "methods.tables to [methods] or to [], and give rows of your own"
        )
    tables = [_built_in(name, config, adaptation) for name in config.tables]
    if config.rows or not tables:
        own = tuple(Row(title, changes) for title, changes in config.rows.items())
        tables.append(Table("rows", "Rows of this run file", (ALL, *own)))
    return tables


def _built_in(name: TableName, config: MethodsConfig, adaptation: Mapping[str, Any]) -> Table:
    match name:
        case "ablation":
            return Table(name, "Ablation of the terms", ABLATION, has_baselines=True)
        case "sensitivity":
            rows = _sensitivity(adaptation["method"], only_ends=config.sensitivity_values == "ends")
            return Table(name, "Sensitivity to the weights", rows)
        case "variants":
            return Table(name, "Variants of the forms", VARIANTS)
        case "methods":
            return Table(name, "Methods", method_rows(adaptation), has_baselines=True, is_ranked=True)
        case "plus":
            return Table(name, "Ablation of IAPC+", plus_rows(adaptation), has_baselines=True)
        case _:
            assert_never(name)


def _sensitivity(method: Mapping[str, Any], *, only_ends: bool) -> tuple[Row, ...]:
    rows = []
    for weight, published in SENSITIVITY.items():
        values = {min(published), max(published)} if only_ends else set(published)
        # The configured value changes nothing: its cell is that of the row `all`, which runs anyway.
        configured = {float(method[weight])} if weight in method else set()
        for value in sorted(values | configured):
            changes = {f"method.{weight}": value}
            rows.append(Row(f"{weight} {value:g}", changes, published.get(value), setting=(weight, value)))
    return tuple(rows)
