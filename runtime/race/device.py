"""What makes one machine's race different from another's."""

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["describe_device"]

ENGINES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-cu12",
    "tensorrt-cu13",
    "tensorrt_rtx_cu13_bindings",
)
QUERY = ("--query-gpu=name,driver_version", "--format=csv,noheader")


def describe_device() -> dict[str, Any]:
    """CPU, cores, GPUs with their driver, and the engines' versions, as plain values of JSON."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": _gpus(),
        "engines": {name: version for name in ENGINES if (version := _version(name)) is not None},
    }


def _cpu() -> str:
    """The CPU's model name; of a board whose CPU has none, the board's."""
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    board = Path("/proc/device-tree/model")
    return board.read_text(errors="replace").strip("\0\n") if board.exists() else platform.machine()


def _gpus() -> list[str]:
    """Name and driver of each NVIDIA GPU; none where nvidia-smi cannot tell, as on some Jetsons."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    done = subprocess.run([command, *QUERY], capture_output=True, text=True, check=False)  # noqa: S603  fixed arguments
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
