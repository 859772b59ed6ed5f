from pathlib import Path

import pytest

from runtime.errors import ConfigError, IapcError
from runtime.harvest.config import HarvestConfig
from runtime.service.claims import claimed_folders
from runtime.settings import RuntimeConfig
from runtime.swap.config import SwapConfig


@pytest.fixture(params=["swap.state", "harvest.folder"])
def setting(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(setting: str, tmp_path: Path) -> RuntimeConfig:
    if setting == "swap.state":
        return RuntimeConfig(swap=SwapConfig(state=tmp_path / "own"))
    return RuntimeConfig(harvest=HarvestConfig(folder=tmp_path / "own"))


def test_folder_of_one_process_is_refused_to_the_next_until_that_ends(config: RuntimeConfig, setting: str) -> None:
    with claimed_folders(config):
        with pytest.raises(IapcError, match=rf"runtime\.{setting}=.*own belongs to another process") as refused:
            claimed_folders(config).__enter__()
        assert not isinstance(refused.value, ConfigError)  # the other may be about to end
    with claimed_folders(config):
        pass


def test_folder_where_nothing_is_kept_is_not_made(tmp_path: Path) -> None:
    with claimed_folders(RuntimeConfig(harvest=HarvestConfig(folder=tmp_path / "own", is_private=True))):
        assert list(tmp_path.iterdir()) == []
