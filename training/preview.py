"""`preview`: look at the data before a long run."""

from typing import Any

from runtime.errors import ConfigError
from runtime.labels import LABEL_SPACES
from training.config import TrainedSource, TrainingConfig
from training.data.frames import LabelledFrames
from training.data.open import open_labelled_frames
from training.pictures import write_contact_sheet

__all__ = ["preview"]

ROWS = 4


def preview(config: TrainingConfig) -> dict[str, Any]:
    """Write a contact sheet of the labelled frames the config names: source training and target test.

    Raises:
        ConfigError: the config names neither.
    """
    space = LABEL_SPACES[config.label_space]
    columns: list[tuple[str, LabelledFrames]] = []
    if isinstance(config.source, TrainedSource):
        columns.append(("source", open_labelled_frames(config.source.frames, space)))
    if config.target.test is not None:
        columns.append(("target", open_labelled_frames(config.target.test, space)))
    if not columns:
        raise ConfigError("preview draws labelled frames, but neither source.frames nor target.test is configured")
    path = config.output / "preview.png"
    write_contact_sheet(path, columns, space, num_rows=ROWS)
    return {"picture": str(path)}
