"""What tests of several stages share."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# The whole suite held 3.2 GiB of networks and bundles at its fullest.
NEEDED_GIB = 4


def pytest_sessionstart() -> None:
    """Say in one line what a full disk would say in a hundred failures."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free / 2**30
    if free < NEEDED_GIB:
        pytest.exit(
            f"{folder} has {free:.1f} GiB free, and tests write networks and bundles of up to {NEEDED_GIB} GiB there; "
            "make room, or set TMPDIR to a folder on a larger disk",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )


@pytest.fixture(scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Makes folders that end with their module: pytest keeps its own until the last test of all."""
    made = []

    def make(name: str) -> Path:
        made.append(tmp_path_factory.mktemp(name))
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The networks are tiny; more threads only wait for each other."""
    # Imported here: tests of the runtime have to do without it.
    import torch

    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)
