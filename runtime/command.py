"""What all commands share: people read stderr, programs read the last line of stdout.

    0   done
    1   failed
    2   bad usage or config
    3   refused by a gate
    130 interrupted; run the same command again to resume

The last line of stdout is one JSON document with the key figures and the paths written.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runtime.errors import IapcError

__all__ = ["add_config_arguments", "run_command", "say"]

INTERRUPTED = 130


def say(text: str) -> None:
    """Tell a person something, on stderr."""
    print(text, file=sys.stderr, flush=True)


def run_command(command: Callable[[], Mapping[str, Any]]) -> int:
    """Run a command and turn its outcome into the JSON line and the exit status described above.

    Only `IapcError` becomes a sentence; anything else is a bug of ours and keeps its traceback.
    """
    try:
        figures = command()
    except IapcError as error:
        say(f"error: {error}")
        return error.exit_status
    except KeyboardInterrupt:
        say("interrupted; run the same command again to resume")
        return INTERRUPTED
    print(json.dumps(figures, allow_nan=False), flush=True)
    return 0


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that reads a run file: CONFIG and --set."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="run file, for example configs/streets.yaml")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one key of this stage's section, for example --set seed=1; may be repeated; "
        "training.seed=1 means the same and is ignored by the other stages",
    )
