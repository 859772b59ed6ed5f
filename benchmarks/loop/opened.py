"""The bundle that is measured, as the config says it is served."""

import torch

from benchmarks.config import BenchmarksConfig
from runtime.backends.config import BackendConfig, CpuConfig, OpenVinoConfig
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["open_segmenter", "threads_of", "what_is_served"]


def open_segmenter(config: BenchmarksConfig) -> Segmenter:
    """Open the bundle; raises as `Segmenter.open`."""
    return Segmenter.open(config.bundle, RuntimeConfig(backend=config.loop.backend, artefact=config.loop.artefact))


def threads_of(backend: BackendConfig) -> int:
    """CPU threads that an engine computes with: those asked for, else a physical core's each, as torch counts them."""
    asked = backend.threads if isinstance(backend, CpuConfig | OpenVinoConfig) else None
    return asked or torch.get_num_threads()


def what_is_served(segmenter: Segmenter) -> tuple[str, str]:
    """The artefact's file and the engine's provider."""
    assert segmenter.artefact is not None
    assert segmenter.backend is not None
    return segmenter.artefact.file, segmenter.backend.provider
