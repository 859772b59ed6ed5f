"""AdaptSegNet: learning to adapt structured output space for semantic segmentation (Tsai et al., CVPR 2018).

Not source-free. The student learns source labels, and predictions of target crops that a discriminator takes for
predictions of source crops. The published form has a second classifier and discriminator on an earlier layer; a
deployed network has one, so this is the authors' single-level form.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from training.methods.method import Setting
from training.methods.parts.adversary import Adversary
from training.methods.parts.source_method import Seen, SourceMethod, SourceMethodConfig
from training.views.batch import TargetBatch

__all__ = ["AdaptSegNet", "AdaptSegNetConfig", "AdversarialConfig"]


class AdversarialConfig(SourceMethodConfig):
    """A student with an adversary; the defaults are the authors'."""

    adversarial: NonNegativeFloat = 1e-3
    """Weight of being taken for the source."""
    discriminator_rate: PositiveFloat = 1e-4


class AdaptSegNetConfig(AdversarialConfig):
    """AdaptSegNet: the adversary sees probabilities."""

    name: Literal["adapt_seg_net"]


class AdaptSegNet(SourceMethod):
    """Source labels, and an adversary on the predictions; see the module.

    Args:
        config: weight and rate.
        setting: what it starts from.
    """

    def __init__(self, config: AdversarialConfig, setting: Setting) -> None:
        super().__init__(setting)
        self.weight = config.adversarial
        self.adversary = Adversary(setting.num_classes, config.discriminator_rate, setting.compute)
        self._maps: tuple[Tensor, Tensor] | None = None

    def terms(self, source: Seen, target: Seen, _batch: TargetBatch) -> dict[str, Tensor]:
        """One term, `adversarial`."""
        shown = self.maps(target.log_probs)
        # The adversary learns after the student's step from what the student predicted before it, as in the papers.
        self._maps = self.maps(source.log_probs.detach()), shown.detach()
        return {"adversarial": self.weight * self.adversary.fooled_loss(shown)}

    def maps(self, log_probs: Tensor) -> Tensor:
        """What of log-probabilities (N, C, H, W) the adversary sees, of the same shape: the probabilities."""
        return log_probs.exp()

    def after_step(self) -> None:
        """Show the student its clean crops, where there are any, then let the adversary learn."""
        super().after_step()
        assert self._maps is not None
        self.adversary.learn(*self._maps)
        self._maps = None

    def state(self) -> dict[str, Tensor]:
        """The adversary's."""
        return self.adversary.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.adversary.load_state(state)
