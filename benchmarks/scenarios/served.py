"""The engine that all scenarios measure: chosen once, opened as often as a scenario needs, with the threads it gets."""

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.config import BenchmarksConfig
from runtime.backends.config import AutoConfig, BackendConfig, CpuConfig, OpenVinoConfig
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["ServedBundle", "choose_engine"]


@dataclass(frozen=True, slots=True)
class ServedBundle:
    """A bundle, what is served of it, and by which engine; can be sent to another process.

    `threads` are the CPU threads of the whole machine's share, which engines that run side by side divide.
    """

    bundle: Path
    artefact: str
    backend: BackendConfig
    threads: int

    def open(self, threads: int | None = None) -> Segmenter:
        """Open it once more, with so many CPU threads; None takes all. Engines on a GPU take none.

        Raises:
            BundleError: a file is missing or altered.
            BackendError: the engine refuses the network, or gives other labels than at export.
        """
        backend = self.backend
        if isinstance(backend, CpuConfig | OpenVinoConfig):
            backend = backend.model_copy(update={"threads": threads or self.threads})
        return Segmenter.open(self.bundle, RuntimeConfig(backend=backend, artefact=self.artefact))

    def share(self, number: int) -> int:
        """CPU threads of each of so many engines that run side by side."""
        return max(1, self.threads // number)


def choose_engine(config: BenchmarksConfig) -> ServedBundle:
    """Open the bundle as the config says, and keep what was chosen.

    Raises:
        BundleError: a file is missing or altered, or no artefact can be served.
        BackendError: the engine is missing, refuses the network, or gives other labels than at export.
    """
    options = config.scenarios
    asked = options.backend
    named = asked.threads if isinstance(asked, CpuConfig | OpenVinoConfig | AutoConfig) else None
    threads = named or config.threads or torch.get_num_threads()
    if isinstance(asked, CpuConfig | OpenVinoConfig | AutoConfig):
        asked = asked.model_copy(update={"threads": threads})
    with Segmenter.open(config.bundle, RuntimeConfig(backend=asked, artefact=options.artefact)) as segmenter:
        assert segmenter.artefact is not None
        assert segmenter.backend is not None
        return ServedBundle(config.bundle, segmenter.artefact.file, segmenter.backend, threads)
