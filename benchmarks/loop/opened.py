"""The bundle that is measured, as the config says it is served."""

from benchmarks.config import BenchmarksConfig
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["open_segmenter", "what_is_served"]


def open_segmenter(config: BenchmarksConfig) -> Segmenter:
    """Open the bundle; raises as `Segmenter.open`."""
    return Segmenter.open(config.bundle, RuntimeConfig(backend=config.loop.backend, artefact=config.loop.artefact))


def what_is_served(segmenter: Segmenter) -> tuple[str, str]:
    """The artefact's file and the engine's provider."""
    assert segmenter.artefact is not None
    assert segmenter.backend is not None
    return segmenter.artefact.file, segmenter.backend.provider
