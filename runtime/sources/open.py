"""Chooses the source that the settings name."""

from typing import assert_never

from runtime.errors import DataError, SourceError
from runtime.pyav import import_av
from runtime.sources.camera import open_camera
from runtime.sources.config import CameraConfig, FolderConfig, RingSourceConfig, SourceConfig, VideoConfig
from runtime.sources.image_files import ImageFiles
from runtime.sources.played import Played
from runtime.sources.recording import open_recording
from runtime.sources.source import Source
from runtime.sources.stream import StreamSource

__all__ = ["open_source"]


def open_source(config: SourceConfig, frame_hw: tuple[int, int]) -> Source:
    """Open a source; the caller closes it.

    Args:
        config: which one.
        frame_hw: height and width of the bundle's frames.

    Raises:
        SourceError: it cannot be opened; trying again later may help.
        MissingPackageError: PyAV is needed and not installed.
    """
    match config:
        case FolderConfig():
            return _open_folder(config, frame_hw)
        case VideoConfig() if config.is_stream:
            return StreamSource(config.path, config.options, config.timeout_s)
        case VideoConfig():
            return _open_video(config, frame_hw)
        case CameraConfig():
            return open_camera(config, frame_hw)
        case RingSourceConfig():
            from runtime.ring.source import RingSource

            return RingSource(config.name, frame_hw)
        case _:
            assert_never(config)


def _open_folder(config: FolderConfig, frame_hw: tuple[int, int]) -> Source:
    try:
        images = ImageFiles.in_folder(config.path, frame_hw)
    except DataError as error:
        raise SourceError(str(error)) from error
    return Played(images, config.rate_hz, is_repeated=config.is_repeated)


def _open_video(config: VideoConfig, frame_hw: tuple[int, int]) -> Source:
    import_av()
    try:
        recording = open_recording(config.file, frame_hw)
    except DataError as error:
        raise SourceError(str(error)) from error
    rate_hz = config.rate_hz or float(recording.rate or 0)
    if not rate_hz:
        recording.close()
        raise SourceError(f"{config.path} does not say its frame rate; set source.rate_hz")
    return Played(recording, rate_hz, is_repeated=config.is_repeated)
