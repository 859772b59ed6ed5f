"""Where an artefact comes from: what an auditor asks years later."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from export.config import ExportConfig
from export.frozen import Frozen
from runtime.files import sha256_of
from runtime.manifest import InputConvention
from training.networks.config import InputName

__all__ = ["artefact_facts", "provenance", "revision"]

LIBRARIES = ("numpy", "torch", "onnx", "onnxscript", "onnxruntime", "tensorrt", "tensorrt_rtx_bindings")
CHECKOUT = Path(__file__).parents[1]


def provenance(frozen: Frozen, config: ExportConfig) -> dict[str, Any]:
    """Checkpoint, training, versions, revision and config, for the manifest."""
    return {
        "checkpoint_sha256": sha256_of(config.checkpoint),
        "network": frozen.spec.model_dump(mode="json", exclude={"provenance"}),
        "training": frozen.spec.provenance,
        "versions": _versions(),
        "revision": revision(),
        "export": config.model_dump(mode="json"),
    }


def artefact_facts(frozen: Frozen, checkpoint: Path) -> dict[str, str]:
    """What an artefact says about itself when it is found without its bundle."""
    return {
        "checkpoint_sha256": sha256_of(checkpoint),
        "classes": ",".join(frozen.spec.space.names),
        "frame_hw": "x".join(map(str, frozen.network.frame_hw)),
        "network_hw": "x".join(map(str, frozen.network.network_hw)),
        "input": _input_name(frozen.spec.model.input),
    }


def _input_name(convention: InputName | InputConvention) -> str:
    return convention if isinstance(convention, str) else convention.model_dump_json()


def _versions() -> dict[str, str]:
    """Versions of the libraries that took part, which are those this process has loaded."""
    loaded = {name: str(sys.modules[name].__version__) for name in LIBRARIES if name in sys.modules}
    return {"python": platform.python_version(), **loaded}


def revision() -> str | None:
    """Git revision of this checkout, `-dirty` with changes on top of it; None where there is no git."""
    git = shutil.which("git")
    if git is None or not (CHECKOUT / ".git").exists():
        return None
    describe = [git, "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(describe, capture_output=True, text=True, check=False)  # noqa: S603  fixed arguments
    return done.stdout.strip() or None
