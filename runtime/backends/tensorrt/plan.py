"""The first bytes of an engine file: who wrote it. Read before any library is asked to run what follows them."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from runtime.backends.tensorrt.library import TITLES, LibraryName, find_engine_library, open_engine_library
from runtime.bundle.manifest import EngineInfo
from runtime.errors import BackendError

__all__ = ["HEADER_BYTES", "Plan", "read_plan", "require_loadable", "why_not_loadable"]

# Tag, version of the layout, four bytes not looked at here, length, and the library's version. trtexec reads the same
# (printPlanVersion); TensorRT-RTX differs in the tag, and alone is known to state the length of the file.
HEADER = struct.Struct("<4sI8xQ4B")
HEADER_BYTES = HEADER.size
TAGS: dict[bytes, LibraryName] = {b"ftrt": "tensorrt", b"vtrt": "tensorrt_rtx"}
KNOWN_LAYOUT = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What an engine file says of itself."""

    library: LibraryName
    version: tuple[int, int, int, int]

    @property
    def title(self) -> str:
        """Name and version of the library that wrote it, for messages."""
        return f"{TITLES[self.library]} {'.'.join(map(str, self.version))}"


def read_plan(path: Path) -> Plan:
    """Read an engine's header.

    Raises:
        BackendError: the file is not an engine, is cut off, or is of a layout that this version does not know.
    """
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    library = TAGS.get(start[:4])
    if library is None or len(start) < HEADER_BYTES:
        raise BackendError(
            f"{path.name} is not an engine: it starts with {start[:4].hex(' ') or 'nothing'}, TensorRT's start with "
            f"{' or '.join(tag.hex(' ') for tag in TAGS)}; export it again"
        )
    _, layout, length, *version = HEADER.unpack(start)
    if layout != KNOWN_LAYOUT:
        raise BackendError(
            f"{path.name} is an engine of layout {layout}, and this version knows layout {KNOWN_LAYOUT} alone; use the "
            "version of iapc that exported it"
        )
    if library == "tensorrt_rtx" and length != path.stat().st_size:
        raise BackendError(
            f"{path.name} is damaged: it says that it has {length} bytes, and has {path.stat().st_size}; copy it "
            "again, or export it again"
        )
    major, minor, patch, build = version
    return Plan(library, (major, minor, patch, build))


def require_loadable(path: Path, info: EngineInfo) -> None:
    """Refuse an engine that the library installed here cannot load, before the library sees it.

    Raises:
        BackendError: it is not an engine, is not the one that the manifest describes, was built by another library or
            version than is installed, or that library is not installed.
    """
    plan = read_plan(path)
    try:
        installed = open_engine_library(plan.library)
    except BackendError as error:
        raise BackendError(f"{path.name} was built by {plan.title}, and {error}{_what_is_here()}") from error
    if problem := why_not_loadable(plan, info, installed.version):
        raise BackendError(f"{path.name} {problem}")


def why_not_loadable(plan: Plan, info: EngineInfo, installed: str) -> str | None:
    """What is wrong with an engine, in words that follow its name; None where it loads.

    Args:
        plan: the engine's header.
        info: what the manifest says about it.
        installed: version of the plan's library that would load it.
    """
    stated = f"{TITLES[info.library]} {info.version}"
    if plan.library != info.library or not _same(plan.version, _numbers(info.version)):
        return f"was built by {plan.title}, the manifest says by {stated}; export the bundle again"
    numbers = _numbers(installed)
    if _same(plan.version, numbers) or (info.version_compatible and numbers >= plan.version):
        return None
    here = f"{TITLES[plan.library]} {installed}"
    if info.version_compatible:
        return f"was built by {plan.title} and loads in that version or a later one, and {here} is installed; update it"
    return (
        f"was built by {plan.title} and loads in no other version, and {here} is installed; install the version that "
        "built it, or export on this machine"
    )


def _what_is_here() -> str:
    try:
        return f"; {find_engine_library().title}, which is installed, loads its own engines only"
    except BackendError:
        return "; neither is any other"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:4])


def _same(plan: tuple[int, ...], version: tuple[int, ...]) -> bool:
    """Whether two versions agree as far as both go; a header has one byte for each part."""
    return all(have == want % 256 for have, want in zip(plan, version, strict=False))
