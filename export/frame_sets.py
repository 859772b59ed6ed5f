"""Which target frames judge an artefact, and which choose and calibrate its integers: never the same ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.config import ExportConfig
from export.forms import FORMS
from runtime.command import say
from runtime.errors import DataError
from training.data.config import FramesConfig, StreetsConfig
from training.data.frames import Frames
from training.data.open import open_frames

__all__ = ["FrameSets", "TargetFrames", "frame_identity", "int8_identities", "open_frame_sets"]

# Looking at a candidate costs one run in float32; four to choose one from find every class that is not very rare.
CANDIDATES_PER_CALIBRATION_FRAME = 4


@dataclass(frozen=True, slots=True)
class TargetFrames:
    """Some frames of a data set, all of one size."""

    frames: Frames
    indices: tuple[int, ...]
    frame_hw: tuple[int, int]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.indices)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Read the frames one by one, each (1, *frame_hw, 3) uint8 RGB.

        Raises:
            DataError: a frame cannot be read, or has another size.
        """
        for index in self.indices:
            frame = self.frames.image(index)
            if frame.shape[:2] != self.frame_hw:
                raise DataError(
                    f"frame {self.frames.name(index)} is {frame.shape[0]}x{frame.shape[1]} pixels (height x width), "
                    f"but the bundle is for {self.frame_hw[0]}x{self.frame_hw[1]}; set export.frame_hw to the "
                    "camera's size and give frames of that size"
                )
            yield np.ascontiguousarray(frame)[np.newaxis]

    def some(self, places: Sequence[int]) -> "TargetFrames":
        """The frames at these places of this set, in the order given."""
        return TargetFrames(self.frames, tuple(self.indices[place] for place in places), self.frame_hw)


@dataclass(frozen=True, slots=True)
class FrameSets:
    """Three sets without a common frame, and a fourth spread over all.

    `gate` judges artefacts. `candidates` are those that INT8 may be calibrated on, and `choice` those on which its
    range method and float layers are chosen; both are empty where no INT8 artefact is asked for. `reference` is what
    the domain looks like; nothing is judged by it, so that it may share frames with the others.
    """

    gate: TargetFrames
    choice: TargetFrames
    candidates: TargetFrames
    reference: TargetFrames


def open_frame_sets(config: ExportConfig) -> FrameSets:
    """Divide the frames of the config; each set but `reference` is spread evenly over what the sets before it left.

    Raises:
        DataError: the data set is not where the config says, its first frame cannot be read, or it has too few frames
            for INT8.
    """
    frames = open_frames(config.frames)
    needs_int8 = any(FORMS[name].precision == "int8" for name in config.artefacts)
    if needs_int8:
        _require_enough(config, len(frames))
    num_gate = min(config.num_gate_frames, len(frames))
    if num_gate < config.num_gate_frames:
        say(f"only {num_gate} of export.num_gate_frames={config.num_gate_frames} frames exist; all are taken")
    gate, rest = _spread(range(len(frames)), num_gate)
    choice: tuple[int, ...] = ()
    candidates: tuple[int, ...] = ()
    if needs_int8:
        choice, rest = _spread(rest, config.int8.num_choice_frames)
        num_candidates = CANDIDATES_PER_CALIBRATION_FRAME * config.int8.num_calibration_frames
        candidates, _ = _spread(rest, min(len(rest), num_candidates))
    reference, _ = _spread(range(len(frames)), min(config.num_reference_frames, len(frames)))
    height, width = config.frame_hw or frames.image(gate[0]).shape[:2]
    sets = (gate, choice, candidates, reference)
    return FrameSets(*(TargetFrames(frames, indices, (height, width)) for indices in sets))


def frame_identity(config: FramesConfig, name: str) -> str:
    """What tells a frame apart whichever data set it is in: the path of its file, without links, or what it shows.

    Args:
        config: the data set.
        name: of the frame there.
    """
    # A rendered street is named after domain and seed.
    return name if isinstance(config, StreetsConfig) else str((config.root / name).resolve())


def int8_identities(config: ExportConfig, sets: FrameSets) -> frozenset[str]:
    """`frame_identity` of each frame that INT8 may be calibrated or is chosen on; none where there is no INT8."""
    return frozenset(
        frame_identity(config.frames, part.frames.name(index))
        for part in (sets.choice, sets.candidates)
        for index in part.indices
    )


def _require_enough(config: ExportConfig, num_frames: int) -> None:
    parts = {
        "num_gate_frames": config.num_gate_frames,
        "int8.num_choice_frames": config.int8.num_choice_frames,
        "int8.num_calibration_frames": config.int8.num_calibration_frames,
    }
    needed = sum(parts.values())
    if num_frames < needed:
        listed = " + ".join(f"{key}={value}" for key, value in parts.items())
        raise DataError(
            f"export.frames has {num_frames} frames, but INT8 needs {needed} ({listed}), because no frame that "
            "calibrates may also judge; give more unlabelled target frames, lower these numbers, or remove the int8 "
            "forms from export.artefacts"
        )


def _spread(indices: Sequence[int], number: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Take a number of indices, spread evenly, and give those taken and the others."""
    places = {int(place) for place in np.linspace(0, len(indices) - 1, num=number, dtype=int)} if number else set()
    taken = tuple(index for place, index in enumerate(indices) if place in places)
    return taken, tuple(index for place, index in enumerate(indices) if place not in places)
