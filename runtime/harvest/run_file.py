"""The run file beside the frames that were kept: with it, `make adapt CONFIG=that folder` closes the loop."""

from pathlib import Path
from typing import Any

import yaml

from runtime.bundle.manifest import Manifest
from runtime.config import FOLDER
from runtime.errors import BundleError

__all__ = ["FRAMES", "is_run_file", "run_file"]

FRAMES = "frames"
HASH_DIGITS = 12
# The first line is also what tells the file from a person's own.
HEADER = """\
# Written by the runtime's harvest, which replaces it. make adapt export CONFIG=<this folder>
# The network that kept these frames learns from them, as it learnt before; the new bundle will be beside them. The
# source network is where it was when the bundle was made; if it has moved, say so:
# SET='--set training.source.path=...'
# The export has no other frames than these either, of which the network is then too sure: see docs/data.md.
"""


def run_file(manifest: Manifest) -> str:
    """YAML with the sections `training` and `export`, for frames in the folder `frames` beside the file.

    The adaptation works in `run-` and the first digits of its source network's SHA-256. The network that it makes is
    what the next bundle's run file starts from: in a folder of one name the next turn would overwrite its own source.

    Raises:
        BundleError: the manifest does not say which network it was made from, or how that is adapted.
    """
    told = manifest.provenance
    try:
        network, exported = told["network"], told["export"]
        adaptation, checkpoint = told["adaptation"], exported["checkpoint"]
        model, label_space = network["model"], network["label_space"]
        output = f"{FOLDER}/run-{told['checkpoint_sha256'][:HASH_DIGITS]}"
    except (KeyError, TypeError) as error:
        raise BundleError(
            f"the bundle cannot be adapted further: its manifest does not tell provenance.{error}; frames could be "
            "kept, and no one would know for what. Export it again, or run without runtime.harvest"
        ) from error
    frames = {"layout": "folder", "root": f"{FOLDER}/{FRAMES}"}
    document: dict[str, Any] = {
        "training": {
            "output": output,
            "label_space": label_space,
            "model": model,
            "source": {"kind": "checkpoint", "path": checkpoint},
            "target": {"adapt": frames},
            "adaptation": adaptation,
        },
        "export": {
            **exported,
            "checkpoint": f"{output}/adapted.safetensors",
            "bundle": f"{FOLDER}/bundle",
            "frames": frames,
            # Labelled frames of the old domain would judge a network of the new one.
            "test": None,
        },
    }
    return HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def is_run_file(path: Path) -> bool:
    """Whether a file is one that a harvest wrote."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline() == HEADER.splitlines(keepends=True)[0]
