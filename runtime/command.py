"""What all commands share: people read stderr, programs read the last line of stdout.

    0   done; `serve`: stopped on request, or its source is finished
    1   failed; `serve --unsupervised`: starting it again may help
    2   bad usage or config, or a package that is not installed; `serve`: or its bundle was refused; starting it again
        would fail again
    3   refused by a gate
    4   `serve`: the loop's process failed again and again, or when it was stopped
    130 interrupted; run the same command again to resume
    143 ended by SIGTERM before there was anything to end in order

The last line of stdout is one JSON document with the key figures and the paths written; after a refusal by a gate it is
there where something was written all the same. A command may say what it is about to do in a JSON line ahead of it,
which has a key `command`; figures have none.

Where a launcher started several processes of one command, it numbers them in the environment variable RANK, and the
first speaks for all; an error is told by every process that raises it.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from runtime.backends.packages import switch_off_telemetry
from runtime.errors import GateError, IapcError
from runtime.streams import let_go_of_broken_streams, open_missing_streams

__all__ = ["add_config_arguments", "announce", "inner_progress", "progress", "run_command", "say"]

INTERRUPTED = 130
_IS_INNER = ContextVar("is_inner", default=False)
Item = TypeVar("Item")


def say(text: str) -> None:
    """Tell a person something, on stderr, above the progress bars that are shown."""
    if _speaks():
        _tell(text)


def progress(
    items: Iterable[Item], *, title: str, unit: str, total: int | None = None, initial: int = 0
) -> "tqdm[Item]":
    """A progress bar over items, on stderr.

    A log file gets a line every ten seconds, a person sees every second.
    """
    is_inner = _IS_INNER.get()
    return tqdm(
        items,
        desc=title,
        unit=unit,
        total=total,
        initial=initial,
        file=sys.stderr,
        dynamic_ncols=True,
        mininterval=1.0 if sys.stderr.isatty() else 10.0,
        leave=not is_inner,
        disable=not _speaks() or (is_inner and not sys.stderr.isatty()),
    )


@contextmanager
def inner_progress() -> Iterator[None]:
    """Bars opened inside stand below one that counts such pieces of work: they vanish when done, and fill no log."""
    token = _IS_INNER.set(True)
    try:
        yield
    finally:
        _IS_INNER.reset(token)


def announce(context: Mapping[str, Any]) -> None:
    """Tell programs what is about to run, in a line of stdout ahead of the last one; `context` has a key `command`."""
    _report(context)


def run_command(command: Callable[[], Mapping[str, Any] | None]) -> int:
    """Run a command and turn its outcome into the JSON line and the exit status described above.

    A command whose figures another process has told returns None.
    Only `IapcError` becomes a sentence; anything else is a bug of ours and keeps its traceback. That nobody listens any
    more on stderr, or on stdout, changes nothing; figures that a full disk does not take are a failure.
    """
    open_missing_streams()
    # Before any stage imports an engine.
    switch_off_telemetry()
    try:
        return _outcome(command)
    finally:
        let_go_of_broken_streams()


def _outcome(command: Callable[[], Mapping[str, Any] | None]) -> int:
    try:
        figures = command()
    except IapcError as error:
        _tell(f"error: {error}")
        if isinstance(error, GateError) and error.figures is not None:
            _report(error.figures)
        return error.exit_status
    except KeyboardInterrupt:
        _tell("interrupted; run the same command again to resume")
        return INTERRUPTED
    return 0 if figures is None or _report(figures) else 1


def _report(figures: Mapping[str, Any]) -> bool:
    """Write the line for programs, where this process speaks; whether it is written, or nobody is there to read it."""
    if _speaks():
        try:
            print(json.dumps(figures, allow_nan=False), flush=True)
        except BrokenPipeError:
            return True
        except OSError as error:
            _tell(f"error: the figures cannot be written to stdout ({error.strerror}); all else is done")
            return False
    return True


def _speaks() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _tell(text: str) -> None:
    # A log that is full, or whose reader is gone, ends no work.
    with suppress(OSError):
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()


def add_config_arguments(
    parser: argparse.ArgumentParser, *, is_optional: bool = False, example: str = "seed=1"
) -> None:
    """Add the arguments of every command that reads a run file: CONFIG, which may be left out or not, and --set."""
    parser.add_argument(
        "config",
        type=Path,
        metavar="CONFIG",
        nargs="?" if is_optional else None,
        help="run file, for example configs/streets.yaml",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"override one key of this stage's section, for example --set {example}; may be repeated; "
        "training.seed=1 means the same and is ignored by the other stages",
    )
