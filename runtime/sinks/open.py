"""Chooses the sink that the settings name."""

from typing import assert_never

from runtime.bundle.manifest import Manifest
from runtime.settings import RuntimeConfig
from runtime.sinks.config import (
    JsonLinesConfig,
    NpzConfig,
    PicturesConfig,
    RingSinkConfig,
    SinkConfig,
    VideoSinkConfig,
)
from runtime.sinks.json_lines import JsonLinesSink
from runtime.sinks.npz import NpzSink
from runtime.sinks.pictures import PicturesSink
from runtime.sinks.sink import Sink
from runtime.sinks.video import VideoSink
from runtime.units import MILLISECOND_NS

__all__ = ["open_sink"]


def open_sink(config: SinkConfig, manifest: Manifest, settings: RuntimeConfig) -> Sink:
    """Open a sink; the loop closes it.

    Args:
        config: which one.
        manifest: that of the bundle whose results it gets.
        settings: opacity of overlays, and the deadline.

    Raises:
        ConfigError: its folder cannot be written.
        MissingPackageError: PyAV is needed and not installed.
        SinkError: it cannot be opened for another reason.
    """
    opacity = settings.overlay_opacity
    match config:
        case RingSinkConfig():
            from runtime.ring.sink import RingSink

            return RingSink(config.name, config.num_slots, manifest, settings.loop.deadline_ms * MILLISECOND_NS)
        case PicturesConfig():
            return PicturesSink(config.folder, manifest.classes, opacity)
        case VideoSinkConfig():
            return VideoSink(config.path, config.rate_hz, manifest.classes, opacity)
        case NpzConfig():
            return NpzSink(config.folder)
        case JsonLinesConfig():
            return JsonLinesSink(config.path, config.max_bytes, manifest.classes)
        case _:
            assert_never(config)
