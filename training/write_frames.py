"""`write-frames`: target frames as a folder of images, for the runtime to play like a camera."""

from typing import Any

from runtime.command import progress, say
from runtime.errors import ConfigError
from runtime.files import writable_folder
from runtime.images import write_png
from training.config import TrainingConfig
from training.data.open import open_frames

__all__ = ["write_frames"]


def write_frames(config: TrainingConfig, *, limit: int | None = None) -> dict[str, Any]:
    """Write the frames that adaptation sees to the folder `drive` of the run's output, as PNG, in their order.

    A picture that is there already is kept, so that an interrupted command goes on.

    Args:
        config: the run.
        limit: write the first so many; None writes all.

    Returns:
        Key figures: `frames` in the folder and its path, `folder`.

    Raises:
        DataError: a frame cannot be read.
        ConfigError: the folder cannot be written, or `limit` is not positive.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit {limit}: write at least 1 frame, or leave it out")
    frames = open_frames(config.target.adapt)
    folder = writable_folder(config.output / "drive")
    num_frames = min(len(frames), limit or len(frames))
    for index in progress(range(num_frames), title="frames", unit="frame"):
        path = folder / f"{index:06d}.png"
        if not path.exists():
            write_png(path, frames.image(index))
    say(f"{num_frames} frames: {folder}")
    return {"frames": num_frames, "folder": str(folder)}
