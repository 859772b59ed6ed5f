"""The `swap.state` folder: private copies of bundles that nobody else edits, and the record of which is good.

    state.json    see runtime/swap/record.py
    ID/           copy of the bundle of that id: the good one, and at most one more
    incoming/     a copy under way

Every change is a rename of something that is on disk already, so that a power cut leaves the state before or after it.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import RLock

from runtime.bundle.manifest import MANIFEST_NAME, Manifest
from runtime.bundle.opening import verified_path
from runtime.bundle.signature import SIGNATURE_NAME
from runtime.errors import BundleError
from runtime.files import writable_folder
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from runtime.swap.engine_choice import EngineChoice
from runtime.swap.record import Record, Refused, Trial, read_record, write_record

__all__ = ["OpenSegmenter", "Store"]

OpenSegmenter = Callable[[Path, RuntimeConfig], Segmenter]

RECORD_NAME, INCOMING_NAME = "state.json", "incoming"
# Copies whole and under way, and a record that a power cut left unfinished.
OURS = re.compile(rf"[0-9a-f]{{64}}|{INCOMING_NAME}|\.state-.*\.json")


class Store:
    """The folder of one process; its record may be changed by any thread.

    Args:
        folder: created where needed.
        config: how to open bundles.
        open_segmenter: `Segmenter.open`, or what stands for it.

    Attributes:
        record: what `state.json` says.
        damage: what is wrong with it, in a sentence.
        public_key: see `read_manifest`.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, config: RuntimeConfig, open_segmenter: OpenSegmenter) -> None:
        self._folder = writable_folder(folder)
        self._engine, self._open_segmenter = EngineChoice(config), open_segmenter
        self.public_key = config.public_key
        self.record, self.damage = read_record(folder / RECORD_NAME)
        self._changing = RLock()
        self._is_trying = False

    def open(self, bundle_id: str) -> Segmenter:
        """Open the copy of a bundle.

        Raises:
            IapcError: as `Segmenter.open`.
        """
        segmenter = self._open_segmenter(self._folder / bundle_id, self._engine.config)
        self._engine.opened(bundle_id, segmenter)
        return segmenter

    def take_in(self, source: Path, manifest: Manifest, bundle_id: str) -> None:
        """Copy a bundle, every file verified first, and put the copy in its place when it is on disk.

        Raises:
            BundleError: a file is missing or altered, or the copy cannot be written.
        """
        incoming = self._folder / INCOMING_NAME
        copy = self._folder / bundle_id
        paths = [verified_path(source, entry) for entry in manifest.files]
        extra = [path for path in (source / SIGNATURE_NAME, source / MANIFEST_NAME) if path.exists()]
        try:
            _remove(incoming)
            incoming.mkdir()
            for path in (*paths, *extra):
                _copy(path, incoming / path.name)
            _sync(incoming)
            _remove(copy)
            incoming.rename(copy)
            _sync(self._folder)
        except OSError as error:
            # Half a copy would keep the room that sinks need too.
            shutil.rmtree(incoming, ignore_errors=True)
            raise BundleError(
                f"bundle {source} cannot be copied to {copy} ({error.strerror or error}); make room, or correct its "
                "permissions: it is tried again when it changes, and at the next start"
            ) from error

    def begin_trial(self, bundle_id: str, max_attempts: int) -> None:
        """Note a trial before anything of the bundle runs, because it may be the last thing this process does.

        Raises:
            BundleError: the trials before ended with the process too often; noted as refused.
            OSError: the record cannot be written.
        """
        trial = self.record.trial
        num_before = trial.num_attempts if trial is not None and trial.bundle_id == bundle_id else 0
        if num_before >= max_attempts:
            why = (
                f"the process ended during each of its {num_before} trials; export it again, or look for what ended it"
            )
            self.refuse(bundle_id, why)
            raise BundleError(why)
        with self._changing:
            self._write(trial=Trial(bundle_id=bundle_id, num_attempts=num_before + 1))
            self._is_trying = True

    def end_trial(self) -> None:
        """Its end was not that of the process."""
        self._write(trial=None)

    def interrupt_trial(self) -> None:
        """The process ends in good order; where it does in the middle of a trial, that does not count.

        May be repeated. A trial that ended with the process before this one counts all the same.

        Raises:
            OSError: the record cannot be written.
        """
        with self._changing:
            trial = self.record.trial
            if trial is not None and self._is_trying:
                num_before = trial.num_attempts - 1
                self._write(trial=trial.model_copy(update={"num_attempts": num_before}) if num_before else None)
            self._is_trying = False

    def promote(self, bundle_id: str) -> None:
        """From here on this is the good one."""
        self._write(good=bundle_id, trial=None, refused=None)
        self._engine.proven(bundle_id)

    def refuse(self, bundle_id: str, why: str) -> None:
        """Do not try it again, not even after a restart."""
        self._write(trial=None, refused=Refused(bundle_id=bundle_id, why=why))

    def why_refused(self, bundle_id: str) -> str | None:
        """Why a bundle is not tried again; None where it may be."""
        refused = self.record.refused
        return refused.why if refused is not None and refused.bundle_id == bundle_id else None

    def prune(self, *in_use: str) -> None:
        """Delete every copy but the good one and those in use, and nothing that is not ours.

        Raises:
            OSError: one cannot be deleted.
        """
        # A record that another thread is just writing looks like one that a power cut left.
        with self._changing:
            kept = {self.record.good, *in_use}
            for path in list(self._folder.iterdir()):
                if OURS.fullmatch(path.name) and path.name not in kept:
                    _remove(path)

    def _write(self, **changed: object) -> None:
        with self._changing:
            record = Record.model_validate({**dict(self.record), **changed})
            write_record(self._folder / RECORD_NAME, record)
            _sync(self._folder)
            self.record = record


def _copy(path: Path, to: Path) -> None:
    shutil.copyfile(path, to)
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
