"""Where an artefact comes from: what an auditor asks years later.

The same inputs give the same answers, byte for byte: no time, no place, nothing of the machine.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from export.config import ExportConfig
from export.facts import FACTS_KEY, Facts
from export.frozen import Frozen
from runtime.bundle.manifest import SCHEMA_VERSION, Precision, Tail
from runtime.files import sha256_of
from training.checkpoint import NetworkSpec
from training.config import AdaptationConfig

__all__ = ["artefact_facts", "provenance", "revision"]

LIBRARIES = (
    "numpy",
    "torch",
    "torchao",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "tensorrt_rtx_bindings",
)
CHECKOUT = Path(__file__).parents[1]


def provenance(frozen: Frozen, config: ExportConfig) -> dict[str, Any]:
    """Checkpoint, training, versions, revision and config, for the manifest.

    Of the config, the places that are written to are left out: they change nothing that is written. `adaptation` is
    how the network was adapted, or how it may be, where it never was: settings for the next time, on frames that a
    vehicle kept.
    """
    trained = dict(frozen.spec.provenance)
    adaptation = trained.pop("adaptation", None) or _adaptation(frozen.spec).model_dump(mode="json")
    return {
        "checkpoint_sha256": sha256_of(config.checkpoint),
        "network": frozen.spec.model_dump(mode="json", exclude={"provenance"}),
        "training": trained,
        "adaptation": adaptation,
        "versions": _versions(),
        "revision": revision(),
        "export": config.model_dump(mode="json", exclude={"bundle": True, "tensorrt": {"cache"}}),
    }


def artefact_facts(
    frozen: Frozen, checkpoint: Path, *, precision: Precision = "fp32", tail: Tail = "labels"
) -> dict[str, str]:
    """What an artefact says about itself when it is found without its bundle.

    Key `iapc` holds `Facts` as JSON; the others say the same in a few words, for viewers of ONNX files.
    """
    network = frozen.network
    facts = Facts(
        schema_version=SCHEMA_VERSION,
        precision=precision,
        tail=tail,
        frame_height=network.frame_hw[0],
        frame_width=network.frame_hw[1],
        network_height=network.network_hw[0],
        network_width=network.network_hw[1],
        align_corners=network.network.align_corners,
        input=frozen.spec.model.convention,
        classes=frozen.spec.label_space.classes,
        checkpoint_sha256=sha256_of(checkpoint),
    )
    named = frozen.spec.model.input
    return {
        FACTS_KEY: facts.model_dump_json(),
        "checkpoint_sha256": facts.checkpoint_sha256,
        "classes": ",".join(one.name for one in facts.classes),
        "frame_hw": f"{facts.frame_height}x{facts.frame_width}",
        "network_hw": f"{facts.network_height}x{facts.network_width}",
        "input": named if isinstance(named, str) else named.model_dump_json(),
    }


def revision() -> str | None:
    """Git revision of this checkout, `-dirty` with changes on top of it; None where there is no git."""
    git = shutil.which("git")
    if git is None or not (CHECKOUT / ".git").exists():
        return None
    describe = [git, "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(describe, capture_output=True, text=True, check=False)  # noqa: S603  fixed arguments
    return done.stdout.strip() or None


def _adaptation(spec: NetworkSpec) -> AdaptationConfig:
    """Settings of the size the network sees, which it surely can be trained at; the paper's schedule, shortened."""
    values = {
        "method": {"name": "iapc", "ema_momentum": 0.997},
        "views": {"train_hw": spec.network_hw, "scale": (1.0, 1.25), "crop_hw": spec.network_hw},
        "memory_hw": spec.network_hw,
        "min_classes": max(1, spec.label_space.num_classes // 2),
        "optimizer": {"warmup": 30, "horizon": 1000},
        "iterations": 300,
        "batch_size": 6,
    }
    return AdaptationConfig.model_validate(values)


def _versions() -> dict[str, str]:
    """Versions of the libraries that took part, which are those this process has loaded."""
    loaded = {name: sys.modules[name] for name in LIBRARIES if sys.modules.get(name) is not None}
    return {"python": platform.python_version(), **{name: str(module.__version__) for name, module in loaded.items()}}
