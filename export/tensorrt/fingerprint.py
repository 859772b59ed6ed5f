"""Whether an engine that was built before is the one that would be built now."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from runtime.backends.tensorrt.library import EngineLibrary
from runtime.bundle.manifest import EngineInfo, Precision

__all__ = ["describe_differences", "different_parts", "engine_info", "fingerprint_parts"]

Parts = Mapping[str, Any]

NAMES = {
    "library": "the library",
    "version": "the library's version",
    "compute_capabilities": "the compute capabilities",
    "gpu": "the GPU",
    "driver": "the driver",
    "onnx_sha256": "the ONNX file",
    "precision": "the precision",
    "profile": "the input shapes",
    "flags": "the builder's flags",
    "hardware_compatible": "hardware_compatible",
    "version_compatible": "version_compatible",
    "workspace_mib": "workspace_mib",
}


def fingerprint_parts(info: EngineInfo, precision: Precision) -> dict[str, Any]:
    """Everything an engine depends on, as JSON holds it."""
    return {**info.model_dump(mode="json", exclude={"fingerprint"}), "precision": precision}


def engine_info(library: EngineLibrary, precision: Precision, **values: Any) -> EngineInfo:
    """An engine's description with its fingerprint: the SHA-256 of all its parts and the precision.

    Args:
        library: what builds it.
        precision: of its products.
        values: the other fields of `EngineInfo`.
    """
    info = EngineInfo(library=library.name, version=library.version, fingerprint="0" * 64, **values)
    text = json.dumps(fingerprint_parts(info, precision), sort_keys=True)
    return info.model_copy(update={"fingerprint": hashlib.sha256(text.encode()).hexdigest()})


def different_parts(before: Parts, now: Parts) -> list[str]:
    """Names of the parts in which two engines differ."""
    return [name for name in NAMES if before.get(name) != now.get(name)]


def describe_differences(before: Parts, now: Parts) -> str:
    """The same in words, old value and new."""
    return ", ".join(
        f"{NAMES[name]} ({_short(before.get(name))}, now {_short(now.get(name))})"
        for name in different_parts(before, now)
    )


def _short(value: Any) -> str:
    """Hashes by their first twelve digits, lists without their brackets."""
    if isinstance(value, str) and len(value) == 64:
        return f"{value[:12]}..."
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)
