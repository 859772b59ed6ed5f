"""Engines and timings kept between exports, because TensorRT takes minutes to build what has not changed."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from export.tensorrt.fingerprint import describe_differences, different_parts, fingerprint_parts
from runtime.backends.tensorrt.library import EngineLibrary
from runtime.bundle.manifest import EngineInfo, Precision
from runtime.command import say
from runtime.errors import BackendError
from runtime.files import replacing, sha256_of, writable_folder, write_json

__all__ = ["attach_timings", "keep_engine", "keep_timings", "reuse_engine"]


def reuse_engine(folder: Path, path: Path, info: EngineInfo, precision: Precision) -> bool:
    """Copy the engine of the same fingerprint to `path`, or say why there is none that can be used.

    Args:
        folder: the cache.
        path: where the engine goes; its name is also the artefact's, of which the cache keeps older ones.
        info: of the engine that is wanted.
        precision: of the same.

    Returns:
        Whether the engine now lies at `path`, with the SHA-256 that it had when it was built.
    """
    record = _read_record(_record_path(folder, path, info))
    if record is None:
        _say_what_differs(folder, path, info, precision)
        return False
    engine = _engine_path(folder, path, info)
    try:
        content = engine.read_bytes()
    except OSError as error:
        say(f"{engine} cannot be read ({error.strerror}); building {path.name} anew")
        return False
    digest = hashlib.sha256(content).hexdigest()
    if digest != record.get("engine_sha256"):
        say(f"{engine} was altered since it was built (SHA-256 {digest[:12]}...); building {path.name} anew")
        return False
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    say(f"{path.name}: nothing changed since it was built; copied from {engine}")
    return True


def keep_engine(folder: Path, path: Path, info: EngineInfo, precision: Precision) -> None:
    """Copy a new engine into the cache; its record goes last, so that there is none without an engine.

    Raises:
        ConfigError: the folder cannot be written.
    """
    writable_folder(folder)
    with replacing(_engine_path(folder, path, info)) as temporary:
        shutil.copyfile(path, temporary)
    write_json(
        _record_path(folder, path, info),
        {"artefact": path.name, "engine_sha256": sha256_of(path), "parts": fingerprint_parts(info, precision)},
    )


def attach_timings(library: EngineLibrary, settings: Any, folder: Path, capability: str) -> Any:
    """Let a build take over what earlier ones measured, and measure only the rest.

    TensorRT alone: TensorRT-RTX measures on the GPU that loads the engine, and says that its timing caches do nothing.

    Returns:
        The attached cache, which must live until the build has ended; None for TensorRT-RTX.

    Raises:
        BackendError: TensorRT takes no timing cache at all.
    """
    if library.name != "tensorrt":
        return None
    path = _timings_path(folder, library, capability)
    if path.is_file():
        # Never those of another GPU or version: False asks for a match.
        timings = settings.create_timing_cache(path.read_bytes())
        if timings is not None and settings.set_timing_cache(timings, False):
            return timings
        say(f"{library.title} does not take the timings in {path}, which are of another GPU or version; measuring anew")
    timings = settings.create_timing_cache(b"")
    if timings is None or not settings.set_timing_cache(timings, False):
        raise BackendError(f"{library.title} cannot start a timing cache; set export.tensorrt.cache to null")
    return timings


def keep_timings(library: EngineLibrary, settings: Any, folder: Path, capability: str) -> None:
    """Write what a build measured beside the engines; nothing for TensorRT-RTX."""
    if library.name != "tensorrt":
        return
    with replacing(_timings_path(folder, library, capability)) as temporary:
        temporary.write_bytes(settings.get_timing_cache().serialize())


def _engine_path(folder: Path, path: Path, info: EngineInfo) -> Path:
    return folder / f"{path.stem}-{info.fingerprint[:16]}{path.suffix}"


def _record_path(folder: Path, path: Path, info: EngineInfo) -> Path:
    return _engine_path(folder, path, info).with_suffix(".json")


def _timings_path(folder: Path, library: EngineLibrary, capability: str) -> Path:
    return folder / f"{library.name}-{library.version}-sm{capability.replace('.', '')}.timings"


def _read_record(path: Path) -> dict[str, Any] | None:
    """A record of `keep_engine`; None where there is none, or, after saying so, where it cannot be read."""
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        say(f"{path} is damaged ({error}); the engine beside it is not used")
        return None
    return record if isinstance(record, dict) and isinstance(record.get("parts"), dict) else None


def _say_what_differs(folder: Path, path: Path, info: EngineInfo, precision: Precision) -> None:
    """Compare with the most similar engine of the same artefact, if the cache holds any."""
    wanted = fingerprint_parts(info, precision)
    records = [_read_record(found) for found in sorted(folder.glob(f"{path.stem}-*.json"))]
    kept = [record["parts"] for record in records if record is not None and record.get("artefact") == path.name]
    if kept:
        nearest = min(kept, key=lambda parts: len(different_parts(parts, wanted)))
        say(f"building {path.name} anew, because of {describe_differences(nearest, wanted)}")
