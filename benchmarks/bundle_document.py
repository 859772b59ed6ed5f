"""What every document of a measurement of a bundle begins with: when, on what bundle, where, with which settings."""

import time
from typing import Any, Literal

from pydantic import NonNegativeInt

from benchmarks.config import BenchmarksConfig
from benchmarks.environment import Environment
from runtime.bundle.manifest import MANIFEST_NAME
from runtime.config import StrictModel
from runtime.files import sha256_of

__all__ = ["BundleDocument", "CheckedDocument", "how_measured"]


class BundleDocument(StrictModel):
    """A measurement of a bundle, known by the bytes of its manifest."""

    schema_version: Literal[1] = 1
    created_unix_s: NonNegativeInt
    manifest_sha256: str
    environment: Environment
    config: dict[str, Any]


class CheckedDocument(BundleDocument):
    """One whose labels were compared with those of the network file that the bundle was made from.

    `frames` are the names of those that were shown in rotation.
    """

    checkpoint_sha256: str
    frames: tuple[str, ...]


def how_measured(config: BenchmarksConfig, environment: Environment) -> dict[str, Any]:
    """The fields of a `BundleDocument` that is made now."""
    return {
        "created_unix_s": int(time.time()),
        "manifest_sha256": sha256_of(config.bundle / MANIFEST_NAME),
        "environment": environment,
        "config": config.model_dump(mode="json"),
    }
