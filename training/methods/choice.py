"""Every method by name: its settings in one closed union, its losses in one match, which the type checker completes."""

from typing import Annotated, TypeAlias, assert_never

from pydantic import Field

from training.methods.adapt_seg_net import AdaptSegNet, AdaptSegNetConfig
from training.methods.adv_ent import AdvEnt, AdvEntConfig
from training.methods.bicl import Bicl, BiclConfig
from training.methods.bicl_source_free import BiclSourceFree, BiclSourceFreeConfig
from training.methods.cag import CategoryAnchors, CategoryAnchorsConfig
from training.methods.class_balanced import ClassBalanced, ClassBalancedConfig
from training.methods.daformer import Daformer, DaformerConfig
from training.methods.dtac import Dtac, DtacConfig
from training.methods.entropy import EntropyConfig, EntropyMinimisation
from training.methods.fda import Fda, FdaConfig
from training.methods.hcl import Hcl, HclConfig
from training.methods.iapc import Iapc, IapcConfig
from training.methods.ld import LabelDenoising, LabelDenoisingConfig
from training.methods.max_square import MaxSquare, MaxSquareConfig
from training.methods.method import Method, Setting
from training.methods.pgpc import Pgpc, PgpcConfig, PgpcSourceFree, PgpcSourceFreeConfig
from training.methods.prn import Prn, PrnConfig
from training.methods.prn_source_free import PrnSourceFree, PrnSourceFreeConfig
from training.methods.proda import PrototypeDenoising, PrototypeDenoisingConfig
from training.methods.pseudo_label import PseudoLabelLearning, PseudoLabelLearningConfig
from training.methods.self_training import SelfTraining, SelfTrainingConfig
from training.methods.sfda import Sfda, SfdaConfig
from training.methods.tent import Tent, TentConfig
from training.methods.uda_clu import UdaClu, UdaCluConfig
from training.methods.uncertainty_reduction import UncertaintyReduction, UncertaintyReductionConfig
from training.views.batch import TargetBatch

__all__ = ["MethodConfig", "build_method"]

MethodConfig: TypeAlias = Annotated[
    AdaptSegNetConfig
    | AdvEntConfig
    | BiclConfig
    | BiclSourceFreeConfig
    | CategoryAnchorsConfig
    | ClassBalancedConfig
    | DaformerConfig
    | DtacConfig
    | EntropyConfig
    | FdaConfig
    | HclConfig
    | IapcConfig
    | LabelDenoisingConfig
    | MaxSquareConfig
    | PgpcConfig
    | PgpcSourceFreeConfig
    | PrnConfig
    | PrnSourceFreeConfig
    | PrototypeDenoisingConfig
    | PseudoLabelLearningConfig
    | SelfTrainingConfig
    | SfdaConfig
    | TentConfig
    | UdaCluConfig
    | UncertaintyReductionConfig,
    Field(discriminator="name"),
]


def build_method(config: MethodConfig, setting: Setting) -> Method[TargetBatch]:
    """The method that the config names."""
    match config:
        case AdaptSegNetConfig():
            return AdaptSegNet(config, setting)
        case AdvEntConfig():
            return AdvEnt(config, setting)
        case BiclConfig():
            return Bicl(config, setting)
        case BiclSourceFreeConfig():
            return BiclSourceFree(config, setting)
        case CategoryAnchorsConfig():
            return CategoryAnchors(config, setting)
        case ClassBalancedConfig():
            return ClassBalanced(config, setting)
        case DaformerConfig():
            return Daformer(config, setting)
        case DtacConfig():
            return Dtac(config, setting)
        case EntropyConfig():
            return EntropyMinimisation(config, setting)
        case FdaConfig():
            return Fda(config, setting)
        case HclConfig():
            return Hcl(config, setting)
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
        case PrototypeDenoisingConfig():
            return PrototypeDenoising(config, setting)
        case PseudoLabelLearningConfig():
            return PseudoLabelLearning(config, setting)
        case SelfTrainingConfig():
            return SelfTraining(config, setting)
        case SfdaConfig():
            return Sfda(config, setting)
        case TentConfig():
            return Tent(config, setting)
        case UdaCluConfig():
            return UdaClu(config, setting)
        case UncertaintyReductionConfig():
            return UncertaintyReduction(config, setting)
        case _:
            assert_never(config)
