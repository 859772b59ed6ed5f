"""One engine for every bundle: a race takes all cores for seconds, which the loop cannot spare once it runs."""

from runtime.backends.config import AutoConfig, BackendConfig
from runtime.race.fastest import remember_engine
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["EngineChoice"]


class EngineChoice:
    """Where a race chooses the engine, that of the first bundle opened serves those that take its place.

    Args:
        config: how to open bundles.
    """

    def __init__(self, config: RuntimeConfig) -> None:
        self._config = config
        self._chosen: tuple[BackendConfig, str] | None = None
        self._raced = ""
        self._artefacts: dict[str, list[str]] = {}

    @property
    def config(self) -> RuntimeConfig:
        """How to open the next bundle."""
        if self._chosen is None:
            return self._config
        backend, artefact = self._chosen
        return self._config.model_copy(update={"backend": backend, "artefact": artefact})

    def opened(self, bundle_id: str, segmenter: Segmenter) -> None:
        """A bundle is open, as `config` said."""
        if not isinstance(self._config.backend, AutoConfig):
            return
        self._artefacts[bundle_id] = [entry.file for entry in segmenter.manifest.artefacts]
        if self._chosen is None and segmenter.backend is not None and segmenter.artefact is not None:
            self._chosen, self._raced = (segmenter.backend, segmenter.artefact.file), bundle_id

    def proven(self, bundle_id: str) -> None:
        """A bundle that was opened is good: the next start needs no race.

        Unless it has other artefacts than the one that was raced with, among which there may be a faster one.
        """
        backend = self._config.backend
        if not isinstance(backend, AutoConfig) or self._chosen is None:
            return
        if self._artefacts[bundle_id] == self._artefacts[self._raced]:
            remember_engine(bundle_id, backend, self._config.artefact, *self._chosen)
