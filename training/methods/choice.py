"""Every method by name: its settings in one closed union, its losses in one match, which the type checker completes."""

from typing import Annotated, TypeAlias, assert_never

from pydantic import Field

from training.batch import TargetBatch
from training.methods.class_balanced import ClassBalanced, ClassBalancedConfig
from training.methods.daformer import Daformer, DaformerConfig
from training.methods.entropy import EntropyConfig, EntropyMinimisation
from training.methods.iapc import Iapc, IapcConfig
from training.methods.ld import LabelDenoising, LabelDenoisingConfig
from training.methods.max_square import MaxSquare, MaxSquareConfig
from training.methods.method import Method, Setting
from training.methods.pgpc import Pgpc, PgpcConfig, PgpcSourceFree, PgpcSourceFreeConfig
from training.methods.prn import Prn, PrnConfig
from training.methods.prn_source_free import PrnSourceFree, PrnSourceFreeConfig
from training.methods.pseudo_label import PseudoLabelLearning, PseudoLabelLearningConfig
from training.methods.self_training import SelfTraining, SelfTrainingConfig
from training.methods.tent import Tent, TentConfig

__all__ = ["MethodConfig", "build_method"]

MethodConfig: TypeAlias = Annotated[
    ClassBalancedConfig
    | DaformerConfig
    | EntropyConfig
    | IapcConfig
    | LabelDenoisingConfig
    | MaxSquareConfig
    | PgpcConfig
    | PgpcSourceFreeConfig
    | PrnConfig
    | PrnSourceFreeConfig
    | PseudoLabelLearningConfig
    | SelfTrainingConfig
    | TentConfig,
    Field(discriminator="name"),
]


def build_method(config: MethodConfig, setting: Setting) -> Method[TargetBatch]:
    """The method that the config names."""
    match config:
        case ClassBalancedConfig():
            return ClassBalanced(config, setting)
        case DaformerConfig():
            return Daformer(config, setting)
        case EntropyConfig():
            return EntropyMinimisation(config, setting)
        case IapcConfig():
            return Iapc(config, setting)
        case LabelDenoisingConfig():
            return LabelDenoising(config, setting)
        case MaxSquareConfig():
            return MaxSquare(config, setting)
        case PgpcConfig():
            return Pgpc(config, setting)
        case PgpcSourceFreeConfig():
            return PgpcSourceFree(config, setting)
        case PrnConfig():
            return Prn(config, setting)
        case PrnSourceFreeConfig():
            return PrnSourceFree(config, setting)
        case PseudoLabelLearningConfig():
            return PseudoLabelLearning(config, setting)
        case SelfTrainingConfig():
            return SelfTraining(config, setting)
        case TentConfig():
            return Tent(config, setting)
        case _:
            assert_never(config)
