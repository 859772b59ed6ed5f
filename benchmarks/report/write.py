"""`report`: one HTML file on a run and its bundle, which needs nothing else: no network, no server, no other file.

No figure is typed here: each is read from a document that a command wrote, or computed from the networks on disk. What
is not there says which command makes it.
"""

import base64
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.config import BenchmarksConfig
from benchmarks.report.documents import Mark, date_text, mark_of
from benchmarks.report.headline import headline
from benchmarks.report.not_there import NotThereError
from benchmarks.report.run import Run
from benchmarks.report.section import Section
from benchmarks.report.sections.choice import SECTIONS
from runtime.command import say
from runtime.files import writable_folder, write_text

__all__ = ["REPORT_NAME", "write_report"]

REPORT_NAME = "report.html"
PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True, slots=True)
class _Part:
    """A section as the page shows it; without a `body`, `why` says why, or `command` makes it."""

    name: str
    title: str
    command: str
    body: Markup | None = None
    why: str = ""
    marks: tuple[Mark, ...] = ()
    warnings: tuple[str, ...] = ()


def write_report(config: BenchmarksConfig, run_file: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Write `report.html`.

    Args:
        config: where the documents, networks and frames are.
        run_file: named in the commands that make each part again.
        overrides: `--set` values of this call, repeated in those commands.

    Returns:
        Key figures: `report`, and which sections are `present` and `missing`.

    Raises:
        BundleError: the bundle's manifest is damaged.
        CheckpointError: a network file is damaged.
        DataError: another document is damaged.
        ConfigError: the run calls code that the config does not allow, or names other frames than it adapted to.
    """
    path = writable_folder(config.output) / REPORT_NAME
    run = Run(config, run_file, overrides)
    parts = [_part(section, run) for section in SECTIONS]
    write_text(path, _page(run, parts))
    missing = [part.name for part in parts if part.body is None]
    say(f"report: {path}" + (f"; not there: {', '.join(missing)}" if missing else ""))
    return {"report": str(path), "present": [part.name for part in parts if part.body is not None], "missing": missing}


@cache
def _templates() -> Environment:
    """The page's templates: what is put into them is escaped, and a name they do not know is our mistake."""
    return Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _part(section: Section, run: Run) -> _Part:
    command = run.command(section.command)
    try:
        content = section.build(run)
    except NotThereError as absent:
        return _Part(section.name, section.title, command, why=absent.why)
    template = _templates().get_template(f"sections/{section.name}.html")
    return _Part(
        name=section.name,
        title=section.title,
        command=command,
        body=Markup(template.render(**content.values)),  # noqa: S704 - rendered with autoescape
        marks=tuple(mark_of(file) for file in content.documents),
        warnings=content.warnings,
    )


def _page(run: Run, parts: Sequence[_Part]) -> str:
    script = (PAGE / "script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=run.run_file.stem,
            bundle=run.config.bundle,
            written=date_text(time.time()),
            headline=headline(run),
            parts=parts,
            commands=list(dict.fromkeys(part.command for part in parts)),
            report_command=run.command("make report"),
            style=Markup((PAGE / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
            script=Markup(script),  # noqa: S704 - ours
            script_hash=digest,
        )
    )
