"""Bundles on disk, and a vehicle to put them into."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.bundle.manifest import MANIFEST_NAME
from tests.runtime.swap.bundles import GOLDEN_FRAMES, A, labels_of, network, put
from tests.runtime.swap.vehicle import Vehicle

MakeBundle = Callable[..., Path]


@pytest.fixture
def make(make_bundle: MakeBundle, tmp_path: Path) -> MakeBundle:
    """Writes a bundle of its own name: a network with its golden labels, unless they are to be those of another one;
    `manifest` replaces keys of its manifest.
    """

    def write(
        name: str,
        favour: tuple[float, ...],
        *,
        confidence: float = 1.0,
        golden_favour: tuple[float, ...] | None = None,
        manifest: dict[str, Any] | None = None,
    ) -> Path:
        written = make_bundle(
            model=network(favour, confidence), golden_labels=lambda _: labels_of(GOLDEN_FRAMES, golden_favour or favour)
        )
        path = written / MANIFEST_NAME
        path.write_text(json.dumps({**json.loads(path.read_text()), **(manifest or {})}))
        return written.rename(tmp_path / name)

    return write


@pytest.fixture
def vehicle(tmp_path: Path) -> Iterator[Vehicle]:
    vehicle = Vehicle(tmp_path / "place", tmp_path / "state")
    yield vehicle
    vehicle.stop()


@pytest.fixture
def serving_a(vehicle: Vehicle, make: MakeBundle) -> str:
    """The vehicle serves network A; gives its id."""
    put(make("a", A), vehicle.place)
    return vehicle.start().bundle_id
