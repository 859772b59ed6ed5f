"""The TensorRT that is installed here, of the two there are.

TensorRT needs the GPU it builds for. TensorRT-RTX builds ahead of time on a machine without any, and finishes the
engine on the GPU that loads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from runtime.errors import MissingPackageError

__all__ = ["TITLES", "EngineLibrary", "LibraryName", "find_engine_library", "open_engine_library", "said"]

LibraryName = Literal["tensorrt", "tensorrt_rtx"]
TITLES: Mapping[LibraryName, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
"""What people call them."""
MODULES: Mapping[LibraryName, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt_rtx_bindings"}
HOW_TO_INSTALL: Mapping[LibraryName, str] = {
    "tensorrt": "`pip install 'iapc[tensorrt]'`",
    "tensorrt_rtx": "`pip install --no-deps -r requirements-tensorrt-rtx.txt`",
}


@dataclass(frozen=True, slots=True)
class EngineLibrary:
    """One imported library."""

    name: LibraryName
    module: Any

    @property
    def version(self) -> str:
        """Its version, for example 10.16.1.11; packages of Jetson leave out the last part."""
        return str(self.module.__version__)

    @property
    def title(self) -> str:
        """Name and version, for messages."""
        return f"{TITLES[self.name]} {self.version}"

    def logger(self) -> Any:
        """A logger that keeps warnings and errors in `lines`, because TensorRT says why it failed nowhere else."""
        base: Any = self.module.ILogger

        class Logger(base):  # type: ignore[misc]  # known at run time only
            def __init__(self, warning: Any) -> None:
                super().__init__()
                self.warning = warning
                self.lines: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if int(severity) <= int(self.warning):
                    self.lines.append(message)

        return Logger(self.module.ILogger.Severity.WARNING)


def find_engine_library() -> EngineLibrary:
    """TensorRT where it is installed, else TensorRT-RTX.

    Raises:
        MissingPackageError: neither can be imported.
    """
    reasons = []
    for name in TITLES:
        try:
            return _import(name)
        except ImportError as error:
            reasons.append(str(error))
    raise MissingPackageError(
        f"no TensorRT can be imported ({'; '.join(reasons)}); install it with {HOW_TO_INSTALL['tensorrt']}, or, to "
        f"build without a GPU, {HOW_TO_INSTALL['tensorrt_rtx']}, or remove the engines from export.artefacts"
    )


def open_engine_library(name: LibraryName) -> EngineLibrary:
    """The library of that name, whatever else is installed: an engine loads in the one it was built by.

    Raises:
        MissingPackageError: it cannot be imported.
    """
    try:
        return _import(name)
    except ImportError as error:
        raise MissingPackageError(
            f"{TITLES[name]} cannot be imported ({error}); install it with {HOW_TO_INSTALL[name]}"
        ) from error


def said(logger: Any) -> str:
    """What a library told its logger, for messages."""
    return "; ".join(logger.lines) or "it gave no reason"


def _import(name: LibraryName) -> EngineLibrary:
    return EngineLibrary(name, import_module(MODULES[name]))
