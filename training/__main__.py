"""`python -m training COMMAND CONFIG`: the story of stage one, one command per chapter."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.command import add_config_arguments, run_command, say
from runtime.config import load_config
from runtime.errors import ConfigError
from runtime.files import writable_folder, write_text
from training.adapt import adapt, adapted_path
from training.check_data import check_data
from training.config import TrainingConfig
from training.distributed import World, join_world
from training.public_checkpoints.inspect import inspect_checkpoint
from training.report import report
from training.source import train_source
from training.write_frames import write_frames

COMMANDS = {
    "train-source": "train the source network on labelled source frames, where none is given",
    "adapt": "adapt the source network to unlabelled target frames, then report where test labels exist",
    "evaluate": "report on networks that are already there",
    "check-data": "read all data a run would read, tell sizes, classes and faults, and draw a contact sheet",
    "write-frames": "write the frames that adaptation sees as a folder of images, for the runtime to play",
}

SHARED = ("train-source", "adapt", "evaluate")


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run one command; exit statuses are those of `runtime.command`."""
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description=__doc__,
        epilog="`torchrun --nproc_per_node N -m training COMMAND CONFIG` shares the work among N processes. "
        "Interrupted at any moment, the same command goes on where it stopped. Exit status: 0 done, 1 failed, "
        "2 bad usage or config, 130 interrupted.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        add_config_arguments(commands.add_parser(name, help=purpose, description=purpose))
    limit = "look at N frames of each data set, evenly spread, instead of all"
    commands.choices["check-data"].add_argument("--limit", type=int, metavar="N", help=limit)
    commands.choices["write-frames"].add_argument("--limit", type=int, metavar="N", help="write the first N alone")
    purpose = "say what a checkpoint is, whoever wrote it, and what a run file has to say of it"
    inspect = commands.add_parser("inspect-checkpoint", help=purpose, description=purpose)
    inspect.add_argument("file", type=Path, metavar="FILE", help=".pth, .pth.tar, .pt, .pkl or .safetensors")
    inspect.add_argument(
        "--frames", type=Path, metavar="FOLDER", help="target frames, on which every input convention is tried"
    )
    options = parser.parse_args(arguments)
    if options.command == "inspect-checkpoint":
        return run_command(lambda: inspect_checkpoint(options.file, options.frames))
    return run_command(lambda: _join_and_run(options))


def _join_and_run(options: argparse.Namespace) -> Mapping[str, Any]:
    with join_world() as world:
        return _run(options, load_config(options.config, "training", TrainingConfig, options.overrides), world)


def _run(options: argparse.Namespace, config: TrainingConfig, world: World) -> Mapping[str, Any]:
    command = options.command
    if world.size > 1 and command not in SHARED:
        raise ConfigError(f"{command} runs in a single process; start it as `python -m training {command} CONFIG`")
    if world.is_first:
        writable_folder(config.output)
        write_text(config.output / f"{command}.config.json", config.model_dump_json(indent=2) + "\n")
    match command:
        case "train-source":
            return train_source(config, world=world)
        case "adapt":
            found = adapt(config, world=world)
            say(f"adapted network: {adapted_path(config)}")
            decided = {
                key: found[key]
                for key in ("statistics_share", "scores_before", "scores_after", "is_vetoed", "lost_classes")
            }
            return {**report(config, world=world), **decided, "checkpoint": str(adapted_path(config))}
        case "evaluate":
            return report(config, world=world)
        case "write-frames":
            return write_frames(config, limit=options.limit)
        case _:
            return check_data(config, limit=options.limit)


if __name__ == "__main__":
    sys.exit(main())
