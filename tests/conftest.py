"""What tests of several stages share."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The networks are tiny; more threads only wait for each other."""
    # Imported here: tests of the runtime have to do without it.
    import torch

    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)
