"""Where a figure was measured: without it, a latency means nothing."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from pydantic import PositiveInt

from benchmarks.tables import markdown_table
from export.provenance import revision
from runtime.backends.packages import import_onnxruntime
from runtime.config import StrictModel

__all__ = ["Environment", "describe_environment"]


class Environment(StrictModel):
    """Machine, versions and revision of a run; None where the machine does not tell.

    `load_average` counts processes that wanted a core, over the last minute before the run; of `methods`, which may
    run for days, before its page was written.
    """

    cpu: str | None
    gpu: str | None = None
    cores: int | None
    threads: PositiveInt
    governor: str | None
    load_average: float | None
    system: str
    python: str
    numpy: str
    torch: str
    onnxruntime: str
    openvino: str | None = None
    revision: str | None

    def table(self) -> list[str]:
        """Lines of a Markdown table of what is known."""
        return markdown_table(["environment", ""], [[key, str(value)] for key, value in self if value is not None])


def describe_environment(threads: int) -> Environment:
    """Describe this machine and the versions in use.

    Args:
        threads: CPU threads that each contender was given, or takes by itself.

    Raises:
        BackendError: ONNX Runtime is not installed.
    """
    return Environment(
        cpu=_cpu_model(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        cores=os.cpu_count(),
        threads=threads,
        governor=_first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        system=platform.platform(),
        python=platform.python_version(),
        numpy=np.__version__,
        torch=torch.__version__,
        onnxruntime=_onnxruntime_version(),
        openvino=_version_of("openvino"),
        revision=revision(),
    )


def _cpu_model() -> str | None:
    """The model that Linux names, or whatever else the platform calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or None


def _first_line(path: Path) -> str | None:
    """First line of a file; None where the system does not have it, as in most virtual machines."""
    try:
        return path.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return None


def _version_of(package: str) -> str | None:
    """Version of an installed package; None where it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _onnxruntime_version() -> str:
    return str(import_onnxruntime().__version__)
