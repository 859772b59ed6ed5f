"""What a method says it needs, what it is built from, and what it owes the trainer, which knows no method.

Adding one touches two places: a file with its settings and its losses, and the list in `training.methods.choice`.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from torch import Tensor, nn

from training.device import Compute
from training.frame_network import FrameInput
from training.losses.terms import ImportanceForm
from training.networks.network import SegmentationNetwork
from training.views.batch import Batch

__all__ = ["Method", "Needs", "Rounds", "Setting"]

Item_contra = TypeVar("Item_contra", bound=Batch, contravariant=True)


class Method(Protocol[Item_contra]):
    """What is learnt: gives the loss terms of a batch, and has a state of its own besides the student."""

    @property
    def student(self) -> SegmentationNetwork:
        """The network that is trained."""
        ...

    @property
    def heads(self) -> nn.Module:
        """What is trained beside the student and not delivered, such as a projection; often without parameters.

        It learns at the rate of the student's classifier. An adversary has an optimiser of its own, in `after_step`.
        """
        ...

    def losses(self, batch: Item_contra) -> dict[str, Tensor]:
        """Weighted scalar terms of one step, by the name they are logged under; the trainer sums them."""
        ...

    def after_step(self) -> None:
        """Called after the optimiser moved the student."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Tensors besides those of student and heads that the next step depends on."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        ...


@dataclass(frozen=True, slots=True)
class Rounds:
    """Labels that are class-balanced, and made anew from the student before every round.

    Of each class a `share` of the pixels is labelled, `share_step` more with every round and at most `max_share`.
    `rarity` above 0 gives rare classes a larger share than frequent ones, and of each image the surest `image_share`
    of the pixels are labelled too; see `training.labels.class_balanced`.
    """

    num_rounds: int
    share: float
    share_step: float
    max_share: float = 0.5
    rarity: float = 0.0
    image_share: float = 0.0

    def share_of(self, number: int) -> float:
        """The share of a round, the first being 0."""
        return min(self.share + number * self.share_step, self.max_share)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a method looks at; nothing else is read, cut or computed.

    `importance` is judged once on whole frames by the source network, in this form. `memory` is the view of a fixed
    scale, `weak` the student's crop with its colours unchanged. Without `rounds` the labels are the dense ones that the
    source network gave before the first step. With `source` every batch has labelled source crops, as many as target
    crops; no method without it can come near source data. With `rare_temperature` they are of frames that show rare
    classes, chosen by it; without, all frames come equally often.
    """

    importance: ImportanceForm | None = None
    memory: bool = False
    weak: bool = False
    rounds: Rounds | None = None
    source: bool = False
    rare_temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What a method is built from.

    `network` is the source network, statistics already blended; it becomes the student. `class_prior` (C,) are class
    frequencies of the pseudo-labels. With `has_fixed_statistics` the student is normalised by its stored statistics
    instead of the batch's. `iterations` is how many steps there will be. `judge` is the network that judges importance,
    where that is not `network`, as where that computes roughly; `likeness` is the weight of a term, of any method, that
    the student predicts what the judge does.
    """

    network: SegmentationNetwork
    frame_input: FrameInput
    class_prior: Tensor
    compute: Compute
    iterations: int = field(kw_only=True)
    has_fixed_statistics: bool = False
    judge: SegmentationNetwork | None = None
    likeness: float = 0.0

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_prior)

    def frozen_network(self) -> SegmentationNetwork:
        """A copy of the network as it starts, in evaluation mode, that does not learn."""
        return copy.deepcopy(self.network).eval().requires_grad_(False)

    def frozen_judge(self) -> SegmentationNetwork:
        """The same of the network that judges."""
        return copy.deepcopy(self.judge or self.network).eval().requires_grad_(False)
