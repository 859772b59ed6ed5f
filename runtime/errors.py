"""Every error a user can cause, in one tree.

    IapcError                  exit status 1
    |-- ConfigError            exit status 2: a setting, a path in it, or the command line
    |-- DataError              an image, label map or data folder
    |-- CheckpointError        a network file that is missing, damaged or of another shape
    |-- TrainingError          a run that cannot go on (NaN in a loss)
    |-- BundleError            a bundle that is incomplete, altered or of another version
    |-- BackendError           an inference engine that is missing or failed
    |   |-- NotFiniteError     its output holds NaN or infinity
    |   `-- MissingPackageError  exit status 2: an optional package that is not installed
    |-- FrameError             a frame the bundle cannot take
    |-- SourceError            a camera or stream that was lost
    |-- SinkError              a consumer of results that failed
    |   |-- DiskFullError      it has no room left
    |   `-- AddressError       its address is not there yet
    |-- LoopProcessError       exit status 4: the process of `serve` failed again and again
    `-- GateError              exit status 3: an artefact that did not pass its gate

A message says what was wrong, what was got, what was expected and how to fix it.
"""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "AddressError",
    "BackendError",
    "BundleError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DiskFullError",
    "FrameError",
    "GateError",
    "IapcError",
    "LoopProcessError",
    "MissingPackageError",
    "NotFiniteError",
    "SinkError",
    "SourceError",
    "TrainingError",
]


class IapcError(Exception):
    """Root of the tree; catching it catches every error that is not a bug of ours."""

    exit_status = 1


class ConfigError(IapcError):
    """A setting is unknown, out of range or contradicts another."""

    exit_status = 2


class DataError(IapcError):
    """An image, label map or data folder cannot be used."""


class CheckpointError(IapcError):
    """A network file is missing, damaged, or does not fit the network."""


class TrainingError(IapcError):
    """A run cannot go on; its last good checkpoint is kept."""


class BundleError(IapcError):
    """A bundle is incomplete, altered, or of a schema this version cannot read."""


class BackendError(IapcError):
    """An inference engine is not installed, refused the artefact, or failed."""


class NotFiniteError(BackendError):
    """An engine's output holds NaN or infinity, so that the frame has no labels."""


class MissingPackageError(BackendError):
    """An optional package is needed and not installed; starting a service again does not help, installing it does."""

    exit_status = ConfigError.exit_status


class FrameError(IapcError):
    """A frame has the wrong type, shape or values for the bundle."""


class SourceError(IapcError):
    """A camera, stream or ring of frames cannot be opened or was lost; opening it again may help."""


class SinkError(IapcError):
    """A consumer of results cannot be opened or failed on one; the loop goes on without that result in it."""


class DiskFullError(SinkError):
    """A consumer of results has no room left on its disk."""


class AddressError(SinkError):
    """A consumer of results is to listen on an address that this machine does not have, or not yet."""


class LoopProcessError(IapcError):
    """The loop's process failed again and again, or when it was stopped; a new supervisor may help, or a new boot."""

    exit_status = 4


class GateError(IapcError):
    """An artefact disagrees with the network it was made from and was not written.

    Attributes:
        figures: what a program reads on the last line of stdout where something was written all the same, for example
            a bundle of the other artefacts; None where nothing was.
    """

    exit_status = 3

    def __init__(self, message: str, *, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.figures = figures
