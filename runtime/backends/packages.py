"""The engines' packages, kept from telling their makers what runs here.

From 1.29 on ONNX Runtime's own builds for Linux report models and machine, and leave an identifier in the home folder;
OpenVINO reports each import. Both do so unless it was switched off before they are imported. A vehicle reports to its
owner alone.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runtime.errors import MissingPackageError

__all__ = ["import_onnxruntime", "import_openvino", "switch_off_telemetry", "without_telemetry"]

OPENVINO_TELEMETRY = "openvino_telemetry"


def switch_off_telemetry() -> None:
    """Switch off what ONNX Runtime reports, in this process and those it starts; before it is imported.

    The variable is left alone where somebody has set it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def import_onnxruntime(extra: str = "cpu") -> Any:
    """ONNX Runtime; `extra` is the one of ours that a message says to install.

    Raises:
        MissingPackageError: it is not installed, or cannot be loaded.
    """
    switch_off_telemetry()
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            f"ONNX Runtime cannot be imported ({error}); install it with `pip install 'iapc[{extra}]'`"
        ) from error
    return onnxruntime


def import_openvino() -> Any:
    """OpenVINO.

    Raises:
        MissingPackageError: it is not installed, or cannot be loaded.
    """
    try:
        with without_telemetry():
            import openvino
    except ImportError as error:
        raise MissingPackageError(
            f"OpenVINO cannot be imported ({error}); install it with `pip install 'iapc[openvino]'`"
        ) from error
    return openvino


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Within the block OpenVINO's telemetry counts as not installed, for which its packages have a stand-in."""
    modules: dict[str, Any] = sys.modules
    if OPENVINO_TELEMETRY in modules:
        yield
        return
    modules[OPENVINO_TELEMETRY] = None
    try:
        yield
    finally:
        del modules[OPENVINO_TELEMETRY]
