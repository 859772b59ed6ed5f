"""The cells of a comparison: one setting with one seed each, run once, whichever rows they stand in.

What a cell found is a file named after everything it depends on; where the file is there, the cell is done.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.methods.config import MethodsConfig
from benchmarks.methods.rows.row import Row
from runtime.config import assign, validated
from runtime.errors import ConfigError
from training.config import AdaptationConfig, GivenSource, OptimizerConfig, TrainedSource, TrainingConfig
from training.data.open import identified, open_frames, open_labelled_frames
from training.device import Compute, choose_compute
from training.preparation import initial_settings
from training.source import fingerprint, load_source, source_path

__all__ = ["Cell", "Comparison"]

COLOUR_JITTER = 0.4


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting with one seed."""

    fingerprint: str
    config: TrainingConfig
    changes: dict[str, Any]
    title: str
    oracle: TrainedSource | None = None
    """How the oracle learns from the target's training labels; None for every other cell, which sees none."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What all cells of a data set have in common: the run they vary, its one source network, where things go.

    `frames` are those that are adapted to and those that are tested on, as `identified` tells them.
    """

    name: str
    config: TrainingConfig
    methods: MethodsConfig
    source_sha256: str
    frames: Mapping[str, Any]
    compute: Compute

    @classmethod
    def of(cls, name: str, config: TrainingConfig, methods: MethodsConfig) -> "Comparison":
        """Pin the source network; nothing is vetoed, and the steps are those of the comparison where it names any.

        Raises:
            CheckpointError: the source network's file cannot be used.
            ConfigError: the config describes another network, or the test frames have no labels.
            DataError: target frames, or labels of test frames, are missing.
        """
        source = load_source(config)
        pinned: dict[str, Any] = {
            "source": GivenSource(kind="checkpoint", path=source_path(config), frames=config.source.frames)
        }
        # A table shows what a setting does, and of a vetoed network it would show the start.
        changed: dict[str, Any] = {"max_lost_classes": 1.0}
        if methods.iterations is not None:
            changed["iterations"] = methods.iterations
        pinned["adaptation"] = config.adaptation.model_copy(update=changed)
        config = config.model_copy(update=pinned)
        target, space = config.target, config.label_space
        frames = {"adapt": identified(target.images, open_frames(target.images))}
        if target.test is not None:
            frames["test"] = identified(target.test, open_labelled_frames(target.test, space))
        return cls(name, config, methods, source.sha256, frames, choose_compute(config.device, config.precision))

    @property
    def folder(self) -> Path:
        """Receives a file per cell and what it is made from; shared with whatever else compares this run file."""
        return self.config.output / "methods"

    @property
    def prepared(self) -> Path:
        """What cells start from; shared with `adapt` of the same run file."""
        return self.config.output / "prepared"

    def cell(self, row: Row, seed: int) -> Cell:
        """The cell of a row and a seed.

        Raises:
            ConfigError: the row changes a key that does not exist, or to a value that is not valid, or the preset.
            DataError: the method learns from source frames, and some are missing.
        """
        if "preset" in row.changes:
            raise ConfigError(
                f"methods row {row.title!r}: a preset fills keys that a run file leaves out, and none is left out here;"
                " change the keys in which the presets differ"
            )
        base = self.config.adaptation
        values = base.model_dump()
        for key, value in row.changes.items():
            assign(values, key, copy.deepcopy(value), place=f"methods row {row.title!r}")
        adaptation = validated(AdaptationConfig, values, place=f"methods row {row.title!r}")
        changes = _difference(base.model_dump(mode="json"), adaptation.model_dump(mode="json"))
        settings = {**self._shared_settings(seed), "adaptation": adaptation}
        labelled = self.config.source.frames
        if adaptation.method.needs.source and labelled is not None:
            settings["source_frames"] = identified(labelled, open_labelled_frames(labelled, self.config.label_space))
        mark = fingerprint(settings, self.compute)
        config = self._config_of(mark, seed).model_copy(update={"adaptation": adaptation})
        return Cell(mark, config, changes, f"{self.name}: {row.title}, seed {seed}")

    def oracle_cell(self, seed: int) -> Cell | None:
        """The cell that learns from the target's training labels; None where it is left out."""
        asked, adaptation = self.methods.oracle, self.config.adaptation
        if asked is None:
            return None
        iterations = asked.iterations or adaptation.iterations
        learning = TrainedSource(
            kind="train",
            frames=self.config.target.adapt,
            views=adaptation.views,
            iterations=iterations,
            batch_size=adaptation.batch_size,
            optimizer=OptimizerConfig(
                name="adamw",
                learning_rate=asked.learning_rate,
                head_multiplier=1.0,
                weight_decay=0.01,
                warmup=0,
                horizon=iterations,
            ),
            colour_jitter=COLOUR_JITTER,
            checkpoint_every=adaptation.checkpoint_every,
        )
        settings = {**self._shared_settings(seed), **initial_settings(self.config), "oracle": learning}
        mark = fingerprint(settings, self.compute)
        return Cell(mark, self._config_of(mark, seed), {}, f"{self.name}: oracle, seed {seed}", learning)

    def result_path(self, cell: Cell) -> Path:
        """Where a cell's result lies once it is done."""
        return self.folder / "cells" / f"{cell.fingerprint}.json"

    def counts_path(self, cell: Cell) -> Path:
        """Where a cell's pixel counts of every test frame lie, beside its result."""
        return self.result_path(cell).with_suffix(".npz")

    def _shared_settings(self, seed: int) -> dict[str, Any]:
        return {
            "target": self.frames,
            "model": self.config.model,
            "space": self.config.label_space,
            "seed": seed,
            "source": self.source_sha256,
        }

    def _config_of(self, mark: str, seed: int) -> TrainingConfig:
        return self.config.model_copy(update={"seed": seed, "output": self.folder / "runs" / mark})


def _difference(base: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys whose values differ, with the other's value."""
    found: dict[str, Any] = {}
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            found |= _difference(base[key], value, f"{prefix}{key}.")
        elif key not in base or base[key] != value:
            found[prefix + key] = value
    return found
