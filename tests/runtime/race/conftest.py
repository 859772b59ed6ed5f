"""Runners whose speed is stated, on a clock that only they move."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.backends.config import BackendConfig, CpuConfig
from runtime.bundle.manifest import Artefact, Parity
from runtime.race.contenders import Contender


class Clock:
    """Nanoseconds that pass when a runner works."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


class FakeRunner:
    """Takes the stated milliseconds, one after the other and over again; `log` has its name once a frame."""

    def __init__(self, name: str, times_ms: list[float], clock: Clock, log: list[str]) -> None:
        self.name, self.is_closed = name, False
        self._times_ms, self._clock, self._log = times_ms, clock, log
        self._num_frames = 0

    def segment(self, frame: np.ndarray[Any, Any]) -> None:
        assert not self.is_closed
        self._clock.ns += int(self._times_ms[self._num_frames % len(self._times_ms)] * 1e6)
        self._num_frames += 1
        self._log.append(self.name)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log() -> list[str]:
    """The name of each runner that had a frame, in order."""
    return []


@pytest.fixture
def make_runner(clock: Clock, log: list[str]) -> Callable[..., FakeRunner]:
    def make(name: str, *times_ms: float) -> FakeRunner:
        return FakeRunner(name, list(times_ms), clock, log)

    return make


@pytest.fixture
def make_contender() -> Callable[..., Contender]:
    """A contender with an artefact of this name."""

    def make(file: str, backend: BackendConfig | None = None, **described: Any) -> Contender:
        parity = Parity(engine="onnxruntime", num_frames=1, label_agreement=1.0, max_confidence_difference=0)
        values = {"format": "onnx", "precision": "fp32", "parity": (parity,), **described}
        artefact = Artefact(file=file, sha256="0" * 64, num_bytes=1, **values)
        return Contender(backend or CpuConfig(), artefact)

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "races.json"
