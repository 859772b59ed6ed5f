"""Results as a video of overlays."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from runtime.files import writable_file
from runtime.labels import ClassInfo
from runtime.overlay import overlay
from runtime.pyav import import_av
from runtime.result import Result, Status
from runtime.sinks.video_writer import VideoWriter

__all__ = ["VideoSink"]


class VideoSink:
    """One video of overlays, a picture for each result; see `Sink`.

    Args:
        path: the video, which appears when the sink is closed; until then, and after a crash, it is what `VideoWriter`
            calls the part. A process that is started again adds a video, under the next number, and replaces none.
        rate_hz: pictures a second when it is played.
        classes: the manifest's.
        opacity: share of the class colour, 0 to 1.

    Raises:
        ConfigError: the folder cannot be written, or the path is a folder.
        MissingPackageError: PyAV is not installed.
    """

    def __init__(self, path: Path, rate_hz: float, classes: Sequence[ClassInfo], opacity: float) -> None:
        import_av()
        self._path, self._rate = writable_file(path), Fraction(rate_hz).limit_denominator(1000)
        self._classes, self._opacity = classes, opacity
        self._writer: VideoWriter | None = None

    def write(self, result: Result) -> None:
        """Append the overlay; see `Sink.write`."""
        if self._writer is None:
            self._writer = VideoWriter(self._path, self._rate, is_numbered=True)
        self._writer.append(overlay(result.frame, result.labels, self._classes, self._opacity))

    def tell(self, status: Status) -> None:
        """Nothing: health is no picture."""

    def close(self) -> None:
        """Finish the video; see `Sink.close`."""
        if self._writer is not None:
            self._writer.close()
