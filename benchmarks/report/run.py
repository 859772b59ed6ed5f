"""The run that is reported on, as it lies on disk: each thing is opened when a section asks for it, and kept."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.config import BenchmarksConfig
from benchmarks.reading import read_document
from benchmarks.report.commands import command_line
from benchmarks.report.networks import Networks, open_networks
from benchmarks.report.not_there import NotThereError
from benchmarks.report.prepared import PreparedOnDisk, find_prepared
from benchmarks.report.scenes import Looked, look
from runtime.bundle.manifest import MANIFEST_NAME, Manifest
from runtime.bundle.opening import read_manifest
from runtime.files import sha256_of
from training.checkpoint import NetworkSpec, read_network
from training.config import TrainingConfig

__all__ = ["Run"]

Document = TypeVar("Document")


class Run:
    """A run and its bundle.

    Args:
        config: where everything is.
        run_file: named in the commands that make each part again.
        overrides: `--set` values of this call, repeated in those commands.
    """

    def __init__(self, config: BenchmarksConfig, run_file: Path, overrides: Sequence[str]) -> None:
        self.config, self.run_file, self.overrides = config, run_file, tuple(overrides)
        self._documents: dict[Path, Any] = {}

    def command(self, start: str) -> str:
        """`start` on this run, for a shell."""
        return command_line(start, self.run_file, self.overrides)

    def document(self, path: Path, model: type[Document] | Any, command: str) -> Document:
        """What a command wrote, read once.

        Raises:
            NotThereError: the command has not run.
            DataError: it is damaged.
        """
        if path not in self._documents:
            if not path.is_file():
                raise NotThereError
            self._documents[path] = read_document(path, model, command)
        found: Document = self._documents[path]
        return found

    @property
    def training_folder(self) -> Path:
        """Where `python -m training` wrote.

        Raises:
            NotThereError: the config names no such folder.
        """
        folder = self.config.training_output
        if folder is None:
            raise NotThereError("The run file names no benchmarks.training_output, the folder of the adaptation.")
        return folder

    @property
    def training_config_path(self) -> Path:
        """The settings as `adapt` wrote them down."""
        return self.training_folder / "adapt.config.json"

    @property
    def training(self) -> TrainingConfig:
        """The settings the network was adapted with.

        Raises:
            NotThereError: it was not adapted yet.
            DataError: the file is damaged.
        """
        config: TrainingConfig = self.document(self.training_config_path, TrainingConfig, "make adapt")
        # The folder may have been moved since.
        return config.model_copy(update={"output": self.training_folder})

    @cached_property
    def manifest(self) -> Manifest | None:
        """The bundle's manifest; None where nothing was exported yet.

        Raises:
            BundleError: it is damaged.
        """
        return read_manifest(self.config.bundle) if self.manifest_path.is_file() else None

    @property
    def manifest_path(self) -> Path:
        """File of the manifest."""
        return self.config.bundle / MANIFEST_NAME

    @cached_property
    def networks(self) -> Networks:
        """Source network and adapted network.

        Raises:
            NotThereError: one of their files is not there.
            CheckpointError: one is damaged.
        """
        return open_networks(self.training, self.config)

    @cached_property
    def spec(self) -> NetworkSpec:
        """What the adapted network's file tells of it.

        Raises:
            NotThereError: nothing was adapted yet.
            CheckpointError: the file is damaged.
        """
        if not self.config.checkpoint.is_file():
            raise NotThereError
        return read_network(self.config.checkpoint)[1]

    @cached_property
    def prepared(self) -> PreparedOnDisk:
        """What adaptation prepared before its first step.

        Raises:
            NotThereError: it is not there any more, or was made by another version.
        """
        return find_prepared(self.training, self.networks)

    @cached_property
    def looked(self) -> Looked:
        """A few frames with what both networks say of them.

        Raises:
            NotThereError: the networks or the frames are not there.
        """
        return look(self.training, self.networks)

    def remade(self, files: Mapping[Path, str], command: str) -> tuple[str, ...]:
        """A warning where a file that a document was made from, by its SHA-256, is another now or gone."""
        other = [str(path) for path, sha256 in files.items() if not path.is_file() or sha256_of(path) != sha256]
        again = self.command(command)
        return (f"Stale: {', '.join(other)} changed since or gone; run `{again}` again.",) if other else ()

    def stale(self, manifest_sha256: str, command: str) -> tuple[str, ...]:
        """A warning where a document is of another bundle than the one that is there now."""
        if self.manifest_path.is_file() and sha256_of(self.manifest_path) == manifest_sha256:
            return ()
        again = self.command(command)
        return (f"Stale: measured on another bundle than {self.config.bundle} now holds; run `{again}` again.",)
