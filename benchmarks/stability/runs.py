"""Documents of `peers` that may stand beside each other: of one network, each from a run of its own."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from benchmarks.peers.document import PeerRow, PeersDocument
from benchmarks.reading import read_document
from runtime.errors import ConfigError, DataError

__all__ = ["choice_of", "read_runs"]

COMMAND = "python -m benchmarks peers"


def read_runs(paths: Sequence[Path]) -> dict[Path, PeersDocument]:
    """Read the documents, in the order given.

    Processors, threads, versions and weights may be others: they are shown. The network and its sizes may not.

    Raises:
        DataError: one is missing, damaged or has no row of the bundle.
        ConfigError: fewer than two, two are of the same run, or of other networks or sizes.
    """
    documents = {path: _read(path) for path in paths}
    if len(documents) < 2:
        raise ConfigError(
            f"there is one document, {paths[0]}, and nothing to compare it with; give those of two runs of `{COMMAND}`"
        )
    (first, reference), *others = documents.items()
    for path, document in others:
        for what, found, expected in (
            ("network", document.network, reference.network),
            ("frame size (height, width)", document.frame_hw, reference.frame_hw),
            ("network's size (height, width)", document.network_hw, reference.network_hw),
        ):
            if found != expected:
                raise ConfigError(
                    f"{path} and {first} cannot be compared: {what} {found!r} there, {expected!r} here; give documents "
                    f"that `{COMMAND}` wrote of one network at one size"
                )
    for (one, left), (other, right) in combinations(documents.items(), 2):
        if left == right:
            raise ConfigError(
                f"{one} and {other} are the same run, which tells nothing of stability; run `{COMMAND}` again, with "
                "another benchmarks.output"
            )
    return documents


def choice_of(document: PeersDocument) -> PeerRow:
    """The row of what the runtime chose by itself in a run."""
    return document.chosen


def _read(path: Path) -> PeersDocument:
    if not path.is_file():
        raise DataError(f"there is no {path}; `{COMMAND}` makes it")
    document: PeersDocument = read_document(path, PeersDocument, COMMAND)
    if not any(row.is_ours for row in document.rows):
        raise DataError(f"{path} has no row of the bundle, expected at least one; run `{COMMAND}` again")
    return document
