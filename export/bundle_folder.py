"""The folder of a bundle: there wholly or not at all, and never in the place of something else."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.bundle.manifest import MANIFEST_NAME
from runtime.errors import ConfigError
from runtime.files import writable_folder

__all__ = ["replacing_bundle"]


@contextmanager
def replacing_bundle(bundle: Path) -> Iterator[Path]:
    """Give an empty folder to fill; rename it to `bundle` when the block ends well, delete it otherwise.

    A bundle already there is moved aside for the moment between two renames, and deleted after them.

    Raises:
        ConfigError: `bundle` cannot be written, or is a folder with something else in it.
    """
    bundle = bundle.resolve()
    _refuse_foreign(bundle)
    parent = writable_folder(bundle.parent)
    workplace = Path(tempfile.mkdtemp(prefix=f".{bundle.name}-", dir=parent))
    new, old = workplace / "new", workplace / "old"
    try:
        new.mkdir()
        yield new
        # Again, because someone may have put something there meanwhile.
        _refuse_foreign(bundle)
        if bundle.exists():
            bundle.rename(old)
        try:
            new.rename(bundle)
        except OSError:
            if old.exists():
                old.rename(bundle)
            raise
    finally:
        shutil.rmtree(workplace)


def _refuse_foreign(bundle: Path) -> None:
    """Only a bundle may be replaced: a mistyped path must not cost anyone a folder."""
    if not bundle.exists():
        return
    if not bundle.is_dir():
        raise ConfigError(f"export.bundle={bundle} is a file; choose a folder")
    entries = list(bundle.iterdir())
    if entries and (not (bundle / MANIFEST_NAME).is_file() or any(entry.is_dir() for entry in entries)):
        raise ConfigError(
            f"export.bundle={bundle} holds {entries[0].name!r} and is not a bundle, so it is not replaced; choose "
            "another folder, or empty this one"
        )
