"""Serves a bundle: `python -m runtime COMMAND`.

segment   frames of a file or folder, all of them, to pictures
serve     frames of a camera, the newest always, without end
watch     what a process that serves says of itself
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.command import run_command
from runtime.ending import end_process

COMMANDS = {
    "segment": "every frame of an image, a folder of images or a video becomes a label map and an overlay",
    "serve": "the newest frame of a source, segmented, checked and given to sinks, until it is stopped",
    "watch": "show the health and the results that a serving process puts into shared memory",
}
OVERVIEW = """\
example:
  python -m runtime segment runs/streets/bundle drive.mp4 --output runs/drive
  python -m runtime serve configs/streets.yaml --source drive.mp4
  python -m runtime watch front

`python -m runtime COMMAND --help` tells more of each; docs/operations.md has exit statuses, signals and health.

exit status: 0 done, 1 failed, 2 bad usage or config (serve: or bundle), or a missing package, 4 serve gave up,
130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    status = run_command(lambda: _run(arguments))
    end_process(status)
    return status


# Each command is loaded when it is the one asked for: the supervisor of `serve` lives without numpy and engines.
def _run(arguments: Sequence[str]) -> Mapping[str, Any] | None:
    options = _parser(arguments).parse_args(arguments)
    match options.command:
        case "segment":
            from runtime.commands.segment import segment_all

            return segment_all(options)
        case "serve":
            from runtime.commands.serve import run_serve

            return run_serve(options, arguments)
        case _:
            from runtime.commands.watch import watch

            return watch(options)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m runtime", description=__doc__, epilog=OVERVIEW)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        if name in arguments[:1]:
            _add_arguments(name, command)
    return parser


def _add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    match name:
        case "segment":
            from runtime.commands.segment import EPILOG, add_arguments
        case "serve":
            from runtime.commands.serve import EPILOG, add_arguments
        case _:
            from runtime.commands.watch import EPILOG, add_arguments
    parser.epilog = EPILOG
    add_arguments(parser)


if __name__ == "__main__":
    sys.exit(main())
