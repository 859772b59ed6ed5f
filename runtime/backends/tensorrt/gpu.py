"""Which GPUs an engine runs on."""

from runtime.manifest import EngineInfo

__all__ = ["AMPERE", "is_for_gpu"]

AMPERE = (8, 0)


def is_for_gpu(info: EngineInfo, capability: tuple[int, int]) -> bool:
    """Whether an engine runs on a GPU of this compute capability."""
    major, minor = capability
    return f"{major}.{minor}" in info.compute_capabilities or (info.hardware_compatible and capability >= AMPERE)
