"""Keeps the frames from which the network would learn most, for the next adaptation.

    FOLDER/frames/00000001.png ...   the frames, without loss
    FOLDER/run.yaml                  `make adapt CONFIG=FOLDER` adapts the network to them

A frame is worth the more, the less sure the network is of it (mean of 1 - confidence) and the less it resembles another
one that is kept (distance in the features of `runtime.drift.features`). Where the folder is full, the least valuable
frame goes, the new one or one that was kept. Labels are never kept, nor any place, nor a time finer than the day.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runtime.bundle.known import KnownBundles
from runtime.bundle.opening import bundle_id_of
from runtime.config import RUN_FILE
from runtime.drift.features import features_of
from runtime.errors import ConfigError, DiskFullError, SinkError
from runtime.files import writable_folder, write_text
from runtime.harvest.config import HarvestConfig
from runtime.harvest.run_file import FRAMES, is_run_file, run_file
from runtime.harvest.selection import Selection, Standard
from runtime.harvest.store import Kept, Store, day_of, encoded
from runtime.result import Result, Status
from runtime.sinks.disk import writing_to
from runtime.units import SECOND_NS

__all__ = ["Harvest"]

DIGITS = 5


class Harvest:
    """A sink that keeps frames; with `is_private` it deletes what was kept before, and keeps nothing.

    Args:
        config: where, how much and how often.
        known: the bundles whose results may come.
        wall_s: the wall clock, in seconds since 1970.

    Raises:
        ConfigError: the folder cannot be written, or has a run file of someone else's.
        BundleError: the bundle does not tell how its network can be adapted.
    """

    def __init__(self, config: HarvestConfig, known: KnownBundles, wall_s: Callable[[], float] = time.time) -> None:
        self._config, self._known, self._wall_s = config, known, wall_s
        self._next_ns = 0
        self._store: Store | None = None
        _refuse_foreign(config.folder / RUN_FILE)
        if config.is_private:
            _forget(config.folder)
            return
        self._store = Store(writable_folder(config.folder / FRAMES))
        self._bundle_id = ""
        # Where there is no room for the run file the first look says so, as every later one would: a harvest is no
        # reason not to serve.
        with suppress(DiskFullError):
            self._follow(bundle_id_of(known.first))

    def write(self, result: Result) -> None:
        """Keep the frame if it is time to look and it is worth more than another one.

        Raises:
            SinkError: the disk is full, the folder is gone, or the result is of a bundle that is not known.
        """
        captured_ns = result.captured.captured_ns
        if self._store is None or captured_ns < self._next_ns:
            return
        self._next_ns = captured_ns + int(self._config.every_s * SECOND_NS)
        if result.bundle_id != self._bundle_id:
            self._follow(result.bundle_id)
        uncertainty = 1 - float(result.confidence.mean()) / 255
        if uncertainty < self._config.min_uncertainty:
            return
        features = features_of(result.frame, result.labels, result.confidence, self._num_classes)
        named = {key: round(value, DIGITS) for key, value in zip(self._standard.keys, features.tolist(), strict=True)}
        kept = Kept(
            day=day_of(self._wall_s()),
            bundle_id=self._bundle_id,
            uncertainty=round(uncertainty, DIGITS),
            features=named,
        )
        self._keep(self._store, kept, encoded(result.frame, kept))

    def tell(self, status: Status) -> None:
        """The loop's own state is no frame."""

    def close(self) -> None:
        """Every frame is on disk already."""

    @property
    def _budget(self) -> int:
        return self._config.max_bytes - self._run_file_bytes

    def _keep(self, store: Store, kept: Kept, image: bytes) -> None:
        name = store.next_name()
        if len(image) > self._budget:
            raise SinkError(
                f"a frame takes {len(image)} bytes, and runtime.harvest.max_bytes={self._config.max_bytes} has room "
                f"for {max(0, self._budget)}; raise it"
            )
        self._selection.add(name, self._standard.point(kept.features), kept.uncertainty)
        is_kept = False
        try:
            while store.num_bytes + len(image) > self._budget:
                if self._selection.least() == name:
                    return
                self._drop_least(store)
            store.add(image, kept)
            is_kept = True
        finally:
            if not is_kept:
                self._selection.remove(name)

    def _drop_least(self, store: Store) -> None:
        least = self._selection.least()
        store.remove(least)
        self._selection.remove(least)

    def _follow(self, bundle_id: str) -> None:
        """Measure by another bundle's reference, and name it in the run file."""
        manifest = self._known.manifest_of(bundle_id)
        assert self._store is not None
        text = run_file(manifest)
        with writing_to(self._config.folder):
            _write_where_other(self._config.folder / RUN_FILE, text)
        self._bundle_id, self._num_classes, self._run_file_bytes = bundle_id, len(manifest.classes), len(text.encode())
        self._standard = Standard(manifest.reference)
        self._selection = Selection(len(self._standard.keys))
        for name, kept in self._store.kept.items():
            self._selection.add(name, self._standard.point(kept.features), kept.uncertainty)
        # An earlier run may have been allowed more.
        while self._store.num_bytes > max(0, self._budget):
            self._drop_least(self._store)


def _write_where_other(path: Path, text: str) -> None:
    """Every start comes here, and a full disk has no room for a second copy of what is there already."""
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)


def _refuse_foreign(path: Path) -> None:
    try:
        is_foreign = path.exists() and not is_run_file(path)
    except OSError as error:
        raise ConfigError(
            f"runtime.harvest.folder={path.parent} cannot be read ({error.strerror}); choose another, or correct its "
            "permissions"
        ) from error
    if is_foreign:
        raise ConfigError(
            f"runtime.harvest.folder={path.parent} has a {path.name} that no harvest wrote; choose a folder of its own"
        )


def _forget(folder: Path) -> None:
    """Delete every frame that was kept in a folder, and its run file; anything else stays."""
    if (folder / FRAMES).is_dir():
        store = Store(folder / FRAMES)
        for name in list(store.kept):
            store.remove(name)
    (folder / RUN_FILE).unlink(missing_ok=True)
