"""What NVIDIA's driver tells of lowered clocks, through the package nvidia-ml-py where it is installed."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runtime.health.processor_clocks import Probe

__all__ = ["clocks_problem", "open_gpu_clocks", "unseen_gpus"]

DRIVER = Path("/dev/nvidiactl")
# Bits of nvmlClocksEventReasons (nvml.h). Left out are those that are no trouble: idle, and clocks that were asked for.
REASONS = {
    0x04: "power limit",
    0x08: "hardware slowdown",
    0x20: "temperature (driver)",
    0x40: "temperature (hardware)",
    0x80: "power brake",
}


def open_gpu_clocks() -> dict[str, Probe]:
    """A probe for each GPU, of what lowers its clocks; empty without driver or package."""
    try:
        pynvml: Any = import_module("pynvml")
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return {f"GPU {index}": _probe(pynvml, index, handle) for index, handle in enumerate(handles)}
    except pynvml.NVMLError:
        return {}


def unseen_gpus(driver: Path = DRIVER) -> str | None:
    """Why GPUs that are here would slow down unnoticed; None where there is none, or the package is there."""
    if find_spec("pynvml") is not None or not driver.exists():
        return None
    return "GPU clocks cannot be seen without the package nvidia-ml-py (pip install nvidia-ml-py)"


def clocks_problem(index: int, active: int) -> str | None:
    """What the bits of one GPU say; None where nothing lowers its clocks."""
    names = [name for bit, name in REASONS.items() if active & bit]
    return None if not names else f"GPU {index} has lowered its clocks: {', '.join(names)}"


def _probe(pynvml: Any, index: int, handle: Any) -> Probe:
    def problem() -> str | None:
        try:
            active = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        except pynvml.NVMLError as error:
            return f"GPU {index} does not tell its clocks any more: {error}"
        return clocks_problem(index, active)

    return problem
