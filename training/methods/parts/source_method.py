"""What methods share that learn from labelled source crops and from the target's predictions, side by side."""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor

from runtime.config import StrictModel
from training.methods.method import Needs
from training.methods.parts.loss_method import StudentMethod
from training.methods.parts.source_loss import source_loss
from training.networks.network import NetworkOutput
from training.views.batch import TargetBatch

__all__ = ["Seen", "SourceMethod", "SourceMethodConfig"]


class SourceMethodConfig(StrictModel):
    """A method that is not source-free."""

    @property
    def needs(self) -> Needs:
        """Source crops, and target crops whose colours are unchanged, as those of the source are."""
        return Needs(weak=True, source=True)


class Seen(NamedTuple):
    """What the student makes of crops: its output, and log-probabilities (N, C, H, W) at the crops' size."""

    output: NetworkOutput
    log_probs: Tensor


class SourceMethod(StudentMethod):
    """Cross-entropy on source crops, and terms of what the student makes of source and target.

    Both are normalised each by its own batch. The published methods of this kind change no colours; target crops with
    changed colours could also be told from the source's by the change.
    """

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The term `source`, and those of the method."""
        assert batch.source is not None
        assert batch.weak is not None
        self._clean = batch.clean
        source = self._see(self.source_images(batch))
        target = self._see(batch.weak)
        return {
            "source": source_loss(source.log_probs, batch.source.labels),
            **self.terms(source, target, batch),
            **self._student.likeness(batch.weak, target.output),
        }

    def source_images(self, batch: TargetBatch) -> Tensor:
        """The source crops (N, H, W, 3) in [0, 255] that the student is shown."""
        assert batch.source is not None
        return batch.source.images

    @abstractmethod
    def terms(self, source: Seen, target: Seen, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms of the method."""

    def _see(self, images: Tensor) -> Seen:
        output = self._student(images)
        return Seen(output, self._student.log_probs(output, (int(images.shape[1]), int(images.shape[2]))))
