"""Which GPUs an engine runs on."""

from pathlib import Path

from runtime.bundle.manifest import EngineInfo
from runtime.errors import BackendError

__all__ = ["AMPERE", "is_for_gpu", "require_gpu"]

AMPERE = (8, 0)


def is_for_gpu(info: EngineInfo, capability: tuple[int, int]) -> bool:
    """Whether an engine runs on a GPU of this compute capability."""
    major, minor = capability
    return f"{major}.{minor}" in info.compute_capabilities or (info.hardware_compatible and capability >= AMPERE)


def require_gpu(path: Path, info: EngineInfo, capability: tuple[int, int]) -> None:
    """Refuse an engine that was built for other GPUs than the one of this compute capability.

    Raises:
        BackendError: it was; the message names them.
    """
    if not is_for_gpu(info, capability):
        major, minor = capability
        raise BackendError(
            f"{path.name} was built for GPUs of compute capability {', '.join(info.compute_capabilities)}, and this "
            f"one is of {major}.{minor}; export the bundle on this machine, or with this capability among those listed"
        )
