"""The machines and versions that figures come from, as each document tells them."""

from collections.abc import Callable

from benchmarks.document import LadderDocument, LatencyDocument
from benchmarks.environment import Environment
from benchmarks.loop.document import LoopDocument
from benchmarks.peers.document import PeersDocument
from benchmarks.report.documents import date_text
from benchmarks.report.not_there import NotThereError
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.sections.front import read_ladder
from benchmarks.report.sections.latency import read_latency
from benchmarks.report.sections.peers import read_peers
from benchmarks.report.sections.stages import read_loop
from benchmarks.report.sections.tune import read_tune
from benchmarks.tune.document import TuneDocument

__all__ = ["SECTION"]

Measured = LatencyDocument | LadderDocument | LoopDocument | PeersDocument | TuneDocument
READERS: dict[str, Callable[[Run], Measured]] = {
    "latency": read_latency,
    "ladder": read_ladder,
    "peers": read_peers,
    "tune": read_tune,
    "loop": read_loop,
}


def build(run: Run) -> Content:
    """A column for each document that tells its environment."""
    columns: dict[str, dict[str, str]] = {}
    for name, read in READERS.items():
        try:
            document = read(run)
        except NotThereError:
            continue
        told = {"measured": date_text(document.created_unix_s), **_known(document.environment)}
        columns[f"{name}.json"] = told
    if run.manifest is not None and isinstance(versions := run.manifest.provenance.get("versions"), dict):
        columns["manifest.json"] = {str(key): str(value) for key, value in versions.items()}
    if not columns:
        raise NotThereError
    keys = list(dict.fromkeys(key for told in columns.values() for key in told))
    rows = [[key, *(told.get(key, "-") for told in columns.values())] for key in keys]
    return Content({"header": ["", *columns], "rows": rows}, ())


def _known(environment: Environment) -> dict[str, str]:
    told = {key: str(value) for key, value in environment if value is not None}
    return {**told, "revision": told["revision"][:12]} if "revision" in told else told


SECTION = Section("environment", "Environment", "make bench", build)
