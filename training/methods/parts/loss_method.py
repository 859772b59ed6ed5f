"""What methods share that have nothing besides the student, and no memory."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from training.methods.method import Setting
from training.methods.parts.student import Student
from training.networks.network import SegmentationNetwork
from training.views.batch import TargetBatch

__all__ = ["LossMethod", "StudentMethod"]


class StudentMethod(ABC):
    """A student, and whatever is learnt from a batch.

    Args:
        setting: what it starts from.
        is_affine_frozen: see `Student`.
    """

    def __init__(self, setting: Setting, *, is_affine_frozen: bool = True) -> None:
        self._student = Student(setting, is_affine_frozen=is_affine_frozen)
        self.heads = nn.Module()
        self._clean: Tensor | None = None

    @property
    def student(self) -> SegmentationNetwork:
        """The network that is trained."""
        return self._student.network

    @abstractmethod
    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms of one step, whose clean crops it leaves in `_clean`."""

    def after_step(self) -> None:
        """Show the student its clean crops, where there are any."""
        self._student.show(self._clean)

    def state(self) -> dict[str, Tensor]:
        """No state besides the student."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027  # there is nothing to put back
        """No state besides the student."""


class LossMethod(StudentMethod):
    """A method whose terms are functions of the student's log-probabilities and the batch."""

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms of one step."""
        self._clean = batch.clean
        output = self._student(batch.student)
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        return {
            **self.terms(self._student.log_probs(output, hw), batch),
            **self._student.likeness(batch.student, output),
        }

    @abstractmethod
    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """The terms of log-probabilities (N, C, H, W) of the student's crops."""
