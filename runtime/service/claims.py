"""Folders that one process has for itself, as long as it serves."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from runtime.files import claimed, writable_folder
from runtime.settings import RuntimeConfig

__all__ = ["claimed_folders"]


@contextmanager
def claimed_folders(config: RuntimeConfig) -> Iterator[None]:
    """Within the block no other process that asks for it gets a folder in which this one deletes and counts files.

    The system gives them back when the process ends, however it does.

    Raises:
        ConfigError: a folder cannot be written.
        IapcError: another process has one; it may be about to end.
    """
    folders: dict[str, Path] = {}
    if config.swap is not None:
        folders["swap.state"] = config.swap.state
    if config.harvest is not None and not config.harvest.is_private:
        folders["harvest.folder"] = config.harvest.folder
    with ExitStack() as stack:
        for setting, folder in folders.items():
            taken = (
                f"runtime.{setting}={folder} belongs to another process that serves; stop it, or give each a folder of "
                "its own"
            )
            stack.enter_context(claimed(writable_folder(folder), taken))
        yield
