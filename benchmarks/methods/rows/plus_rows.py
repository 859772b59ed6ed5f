"""IAPC+, whole and without each of its parts, on whatever run file is varied: the preset, with its sizes and steps."""

from collections.abc import Mapping
from typing import Any

from benchmarks.methods.rows.row import Row
from training.presets import PRESETS

__all__ = ["plus_row", "plus_rows"]

NOTE = "ours, the preset `iapc_plus`: its crops are whole frames, and its optimiser is AdamW"
CROPS = ("views.crop_hw", "views.scale", "memory_hw", "min_classes")


def plus_row(adaptation: Mapping[str, Any]) -> Row:
    """IAPC+ in the place of the configured adaptation, which is given as plain values."""
    return Row("IAPC+", _whole(adaptation), note=NOTE)


def plus_rows(adaptation: Mapping[str, Any]) -> tuple[Row, ...]:
    """The whole, then each part in turn left out, or put back to what the configured adaptation does."""
    whole = _whole(adaptation)

    def changed(title: str, **parts: Any) -> Row:
        return Row(title, {**whole, **{key.replace("__", "."): value for key, value in parts.items()}})

    def without(title: str, *keys: str) -> Row:
        return Row(title, {key: value for key, value in whole.items() if not key.startswith(keys)})

    return (
        plus_row(adaptation),
        changed("labels of one scale", pseudo_labels__scales=(1.0,)),
        changed("labels of frames as exposed", pseudo_labels__exposures=(1.0,)),
        changed("labels by statistics of all frames", pseudo_labels__frame_shares=(0.0,)),
        changed("labels with class frequencies", pseudo_labels__balance=0.0),
        changed("statistics of the batch", student_statistics="batch"),
        without("crops as configured", *CROPS),
        without("optimiser as configured", "optimizer."),
        changed("IAPC's terms", method={"name": "iapc", "rare_boost": 1.0}),
    )


def _whole(adaptation: Mapping[str, Any]) -> dict[str, Any]:
    frame_hw, iterations = adaptation["views"]["train_hw"], adaptation["iterations"]
    whole: dict[str, Any] = {
        "views.crop_hw": frame_hw,
        "memory_hw": frame_hw,
        "optimizer.horizon": iterations,
        "optimizer.warmup": iterations // 10,
    }
    for key, value in PRESETS["iapc_plus"].items():
        # The method is given whole: the configured one may be another.
        is_group = isinstance(value, Mapping) and key != "method"
        whole |= {f"{key}.{name}": one for name, one in value.items()} if is_group else {key: value}
    return whole
