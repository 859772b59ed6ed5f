"""What a lone artefact file is, from the description inside it; neither the network nor torch is loaded."""

import json
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from export.facts import FACTS_KEY, Facts
from runtime.errors import BackendError, BundleError

__all__ = ["facts_text", "read_facts"]

# Where TorchScript and .pt2, both zip archives, keep extra files: below a folder named after the archive.
ZIP_MEMBER = "extra/iapc.json"
ZIP_START, ENGINE_START = b"PK\x03\x04", b"ftrt"


def read_facts(path: Path) -> Facts:
    """Read the description inside an ONNX, TorchScript or .pt2 file of this project.

    Raises:
        BackendError: the file is ONNX, and onnx is not installed.
        BundleError: the file cannot be read, or there is no description in it.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if path.suffix == ".engine" or start == ENGINE_START:
            raise BundleError(
                f"{path} is a TensorRT engine, which has no room for a description; run `python -m export verify` on "
                "the bundle it belongs to"
            )
        found = _zip_facts(path) if start == ZIP_START else _onnx_facts(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror})") from error
    if FACTS_KEY not in found:
        raise BundleError(
            f"{path} has no description by the name {FACTS_KEY!r}: it is not of this project, or older than bundles of "
            "schema version 2; export it again"
        )
    try:
        return Facts.model_validate_json(found[FACTS_KEY])
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise BundleError(f"{path}: its description is damaged at {key or 'its start'}: {problem['msg']}") from error


def facts_text(facts: Facts) -> str:
    """A description, for people."""
    convention = facts.input
    return "\n".join(
        (
            f"{facts.precision}, output {facts.tail}",
            f"frame      {facts.frame_height}x{facts.frame_width} (height x width), uint8 RGB",
            f"network    {facts.network_height}x{facts.network_width}, {convention.channel_order}, "
            f"mean {list(convention.mean)}, std {list(convention.std)}, "
            f"align_corners {'on' if facts.align_corners else 'off'}",
            f"classes    {len(facts.classes)}: {', '.join(info.name for info in facts.classes)}",
            f"checkpoint {facts.checkpoint_sha256}",
        )
    )


def _zip_facts(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith("/" + ZIP_MEMBER) or name == ZIP_MEMBER]
            found = json.loads(archive.read(members[0])) if members else {}
    except (zipfile.BadZipFile, ValueError) as error:
        raise BundleError(f"{path} is damaged: it is neither TorchScript nor .pt2 ({error})") from error
    return found if isinstance(found, dict) else {}


def _onnx_facts(path: Path) -> dict[str, Any]:
    try:
        import onnx

        # By name, because protobuf has no types of its own.
        decode_error = import_module("google.protobuf.message").DecodeError
    except ImportError as error:
        raise BackendError(
            f"reading {path} needs onnx, which cannot be imported ({error}); install it with "
            "`pip install 'iapc[export]'`"
        ) from error
    try:
        model = onnx.load_model(path, load_external_data=False)
    except decode_error as error:
        raise BundleError(f"{path} is no artefact: neither ONNX, TorchScript nor .pt2 ({error})") from error
    return {entry.key: entry.value for entry in model.metadata_props}
