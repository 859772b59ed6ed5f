"""A setting: an artefact, an engine and its options, with a name and the YAML that asks the runtime for it."""

from dataclasses import dataclass
from typing import Any

import yaml

from runtime.backends.config import BackendConfig
from runtime.bundle.manifest import Artefact
from runtime.race.contenders import title_of

__all__ = ["Setting", "told_options"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What serves a bundle."""

    artefact: Artefact
    backend: BackendConfig

    @property
    def name(self) -> str:
        """For people, and different for each setting of a bundle."""
        # The title has the precision.
        options = {key: value for key, value in told_options(self.backend).items() if key != "precision"}
        told = "".join(f", {key}={yaml_of(value)}" for key, value in options.items())
        return f"{self.artefact.file} in {title_of(self.backend)}{told}"

    @property
    def runtime_yaml(self) -> str:
        """The `runtime` section of a run file, for pasting."""
        backend = {"provider": self.backend.provider, **told_options(self.backend)}
        return f"runtime:\n  backend: {yaml_of(backend)}\n  artefact: {yaml_of(self.artefact.file)}\n"


def told_options(backend: BackendConfig) -> dict[str, Any]:
    """The options of an engine that are not as they are by default, as plain values."""
    default = type(backend)()
    plain = backend.model_dump(mode="json")
    return {key: plain[key] for key, value in default if getattr(backend, key) != value}


def yaml_of(value: Any) -> str:
    """A value in one line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")
