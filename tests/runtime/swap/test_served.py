"""A bundle without `swap`, whose engine fails while somebody puts another one in its place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.bundle.manifest import MANIFEST_NAME
from runtime.errors import BackendError
from runtime.segmenter import Segmenter
from runtime.swap.served import Served
from tests.runtime.swap.bundles import GOLDEN_FRAMES, A, B

MakeBundle = Callable[..., Path]


@pytest.fixture
def place(make: MakeBundle) -> Path:
    return make("a", A)


@pytest.fixture
def served(place: Path) -> Served:
    return Served(lambda: Segmenter.open(place))


def test_engine_is_opened_again_for_the_bundle_in_service(served: Served) -> None:
    before = served.segment(GOLDEN_FRAMES[0]).labels.copy()
    served.restart()
    assert (served.segment(GOLDEN_FRAMES[0]).labels == before).all()
    served.close()


def test_another_bundle_is_not_served_under_the_name_of_the_one_before(
    served: Served, place: Path, make: MakeBundle
) -> None:
    bundle_id = served.bundle_id
    shutil.rmtree(place)
    make("b", B).rename(place)
    with pytest.raises(BackendError, match=r"the bundle was replaced while it served: .*; restart the service to take"):
        served.restart()
    assert served.bundle_id == bundle_id
    with pytest.raises(BackendError):
        served.segment(GOLDEN_FRAMES[0])


def test_half_a_bundle_is_an_engine_that_does_not_open_and_may_do_so_later(served: Served, place: Path) -> None:
    (place / MANIFEST_NAME).rename(place / "whole")
    with pytest.raises(
        BackendError, match=r"cannot be opened again: .* is not a bundle: manifest\.json cannot be read"
    ):
        served.restart()
    assert json.loads((place / "whole").read_text())
    (place / "whole").rename(place / MANIFEST_NAME)
    served.restart()
    served.segment(GOLDEN_FRAMES[0])
    served.close()
