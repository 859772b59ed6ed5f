"""Settings that belong together, as plain data; `adaptation.preset` names one, and every key can still be set.

`iapc_paper` is what the paper states, with what it leaves open taken from the authors' code (warm-up, horizon, crops,
photometric changes, pseudo-labels from three mirrored scales). `iapc_code` is what that code computes where it differs:
importance from raw logits, the weights of two terms exchanged, a trunk that is stepped about three times, and running
statistics that clean crops move.

`iapc_plus` is our own, and what measurement left of IAPC: its offline labels, without importance, prototypes or class
weights. They are made as well as a label made once can be: of two scales, mirrored, of the exposure at which frames are
nearest to the source's, by statistics of all frames and in part by each frame's own, with class frequencies taken out.
The student learns them under the very statistics it is deployed with, on whole frames with their colours as they are.
Sizes and steps are the run file's: `views.train_hw` and `views.crop_hw` should be `model.network_hw`, and
`optimizer.horizon` the number of steps.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

from pydantic import BaseModel

__all__ = ["PRESETS", "PresetName", "with_preset"]

PresetName = Literal["iapc_paper", "iapc_code", "iapc_plus"]

_PAPER: dict[str, Any] = {
    "method": {
        "name": "iapc",
        "importance": "prob_ratio",
        "importance_view": "crop",
        "importance_weighted": 0.2,
        "information": 0.5,
        "diversity": 0.0,
        "symmetric": 0.04,
        "enhanced": 2.0,
        "temperature": 1.0,
        "absent": "zero",
        "ema_momentum": 0.9999,
        "rare_boost": 7.0,
    },
    "pseudo_labels": {
        "scales": [0.75, 1.0, 1.25],
        "mirror": True,
        "exposures": [1.0],
        "frame_shares": [0.0],
        "balance": 0.0,
    },
    "statistics_share": 0.0,
    "statistics_frames": 200,
    "min_shift": 0.0,
    "balance": 0.0,
    "student_statistics": "batch",
    "settled_statistics": "estimated",
    "max_lost_classes": 1.0,
    "clean_forward": None,
    "views": {"train_hw": [640, 1280], "scale": [0.8, 1.2], "crop_hw": [256, 512], "mirror": 0.5},
    "memory_hw": [640, 1280],
    "min_classes": 11,
    "photometric": True,
    "iterations": 9000,
    "batch_size": 6,
    "optimizer": {
        "name": "sgd",
        "learning_rate": 1e-4,
        "backbone_multiplier": 1.0,
        "head_multiplier": 10.0,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "warmup": 5000,
        "horizon": 100_000,
    },
}

_PLUS: dict[str, Any] = {
    "method": {"name": "pseudo_label", "rare_boost": 1.0},
    "pseudo_labels": {
        "scales": [1.0, 1.5],
        "mirror": True,
        "exposures": "auto",
        "frame_shares": [0.0, 0.3],
        "balance": 0.4,
    },
    "student_statistics": "fixed",
    "views": {"scale": [1.0, 1.3]},
    "min_classes": 1,
    "photometric": False,
    "optimizer": {"name": "adamw", "learning_rate": 1e-4, "head_multiplier": 1.0, "weight_decay": 0.01},
}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings in one, key by key at every depth; where both have a key, `above` wins.

    Two groups with different `name`s are members of a closed union that share no keys, so `above` then stands alone.
    """
    merged = dict(below)
    for key, value in above.items():
        low, high = below.get(key), _plain(value)
        if isinstance(low, Mapping) and isinstance(high, Mapping) and _is_same_member(low, high):
            merged[key] = _over(low, high)
        else:
            merged[key] = value
    return merged


def _is_same_member(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    return "name" not in above or above["name"] == below.get("name")


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


PRESETS: Mapping[PresetName, Mapping[str, Any]] = MappingProxyType(
    {
        "iapc_paper": _PAPER,
        "iapc_code": _over(
            _PAPER,
            {
                "method": {"importance": "logit_ratio", "information": 2.0, "enhanced": 0.5},
                "settled_statistics": "running",
                "clean_forward": {"frame_hw": [512, 1024]},
                "optimizer": {"backbone_multiplier": 3.0},
            },
        ),
        "iapc_plus": _PLUS,
    }
)


def with_preset(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill the keys of an adaptation that are not given from the preset it names, if it names one that exists."""
    name: Any = values.get("preset")
    return _over(PRESETS[name], values) if name in get_args(PresetName) else values
