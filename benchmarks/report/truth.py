"""Labels of the frames that were adapted to, where the run file names them: for this report, when all else is done."""

from benchmarks.report.run import Run
from runtime.errors import ConfigError
from training.data.frames import LabelledFrames
from training.data.open import open_labelled_frames

__all__ = ["open_truth"]


def open_truth(run: Run) -> LabelledFrames | None:
    """The frames of `training.target.adapt` with labels; None where the run file names none.

    Raises:
        ConfigError: what it names are other frames.
        DataError: they are not where it says.
    """
    if run.config.adapt_truth is None:
        return None
    truth = open_labelled_frames(run.config.adapt_truth, run.networks.spec.label_space)
    frames = run.prepared.frames
    if [truth.name(index) for index in range(len(truth))] != [frames.name(index) for index in range(len(frames))]:
        raise ConfigError(
            f"benchmarks.adapt_truth has {len(truth)} frames, the run adapted to {len(frames)}, and their names "
            "differ; name the frames of training.target.adapt, in a layout that has labels, or leave the key out"
        )
    return truth
