"""AdvEnt: adversarial entropy minimisation (Vu et al., "ADVENT", CVPR 2019).

Not source-free. AdaptSegNet whose adversary sees how uncertain the student is instead of what it predicts. As there,
the published second classifier on an earlier layer is left out.
"""

import math
from typing import Literal

from torch import Tensor

from training.methods.adapt_seg_net import AdaptSegNet, AdversarialConfig

__all__ = ["AdvEnt", "AdvEntConfig", "self_information"]


class AdvEntConfig(AdversarialConfig):
    """AdvEnt: the adversary sees weighted self-information."""

    name: Literal["adv_ent"]


class AdvEnt(AdaptSegNet):
    """Source labels, and an adversary on the uncertainty of the predictions; see the module."""

    def maps(self, log_probs: Tensor) -> Tensor:
        """Weighted self-information."""
        return self_information(log_probs)


def self_information(log_probs: Tensor) -> Tensor:
    """-p log p / log C of (N, C, H, W) log-probabilities, of the same shape; its sum over classes is in [0, 1]."""
    return -log_probs.exp() * log_probs / math.log(log_probs.shape[1])
