"""Networks of segmentation-models-pytorch: a dozen architectures on some hundred encoders, by name."""

import difflib
import inspect
from typing import Any

from runtime.config import nearest
from runtime.errors import ConfigError
from training.networks.config import SMP_ARGUMENTS, SmpConfig
from training.networks.wrapped import WrappedNetwork

__all__ = ["build_smp"]

HEAD = "segmentation_head"
TIMM_PREFIX = "tu-"
LISTED_NAMES = 8


def build_smp(config: SmpConfig, num_classes: int, *, imagenet: bool = False) -> WrappedNetwork:
    """Make the network, with random weights unless ImageNet's are asked for.

    Raises:
        ConfigError: the package is missing, or it knows no such architecture, encoder, option or weights.
    """
    smp = _import_smp()
    _require_known(smp, config)
    # timm's encoders name their weights in their own name, and want to be told only whether to take them.
    weights = None if not imagenet else True if config.encoder.startswith(TIMM_PREFIX) else "imagenet"
    try:
        inner = smp.create_model(
            config.architecture,
            encoder_name=config.encoder,
            encoder_weights=weights,
            in_channels=3,
            classes=num_classes,
            **config.options,
        )
    except OSError as error:
        raise ConfigError(
            f"model.imagenet: the weights of {config.encoder} cannot be downloaded ({error}); connect, put them into "
            "the Hugging Face cache, or set model.imagenet to false"
        ) from error
    # Names and options meet only inside the package, which tells what does not fit by whatever error comes first.
    except (TypeError, ValueError, KeyError, AssertionError, AttributeError, RuntimeError) as error:
        raise ConfigError(
            f"segmentation-models-pytorch {smp.__version__} cannot make {config.architecture} on {config.encoder} with "
            f"model.options={config.options} ({type(error).__name__}: {error}); correct the options or choose "
            "another encoder"
        ) from error
    return WrappedNetwork(
        inner,
        feature_layer=config.feature_layer,
        head_layer=HEAD,
        size_multiple=int(inner.encoder.output_stride) if inner.requires_divisible_input_shape else 1,
        channels_last=True,
    )


def _import_smp() -> Any:
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        raise ConfigError(
            f"model.kind=smp needs segmentation-models-pytorch, which cannot be imported ({error}); install it with "
            "`pip install 'iapc[smp]'`"
        ) from error
    return segmentation_models_pytorch


def _require_known(smp: Any, config: SmpConfig) -> None:
    """Refuse names that the package does not know; its own error is a list of hundreds, and for options none.

    Raises:
        ConfigError: with all architectures, or the encoders or options that are nearest.
    """
    architectures = sorted(smp.MODEL_ARCHITECTURES_MAPPING)
    if config.architecture.lower() not in architectures:
        raise ConfigError(
            f"model.architecture={config.architecture!r} is unknown to segmentation-models-pytorch "
            f"{smp.__version__}; it knows {', '.join(architectures)}"
        )
    if config.encoder.startswith(TIMM_PREFIX):
        _require_known_timm(config.encoder)
    else:
        _require_known_own(smp, config)


def _require_known_own(smp: Any, config: SmpConfig) -> None:
    encoders = sorted(smp.encoders.get_encoder_names())
    if config.encoder not in encoders:
        raise ConfigError(
            f"model.encoder={config.encoder!r} is unknown to segmentation-models-pytorch {smp.__version__}; of its "
            f"{len(encoders)} encoders the nearest are {_nearest(config.encoder, encoders)}; timm's are written "
            f"{TIMM_PREFIX}NAME"
        )
    # What the architecture does not know goes to the encoder, which ignores it unless it is one of timm's.
    signature = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[config.architecture.lower()].__init__)
    options = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name != "self" and name not in SMP_ARGUMENTS
    ]
    if unknown := sorted(config.options.keys() - set(options)):
        raise ConfigError(
            f"model.options: {config.architecture} has no option {unknown[0]!r}{nearest(unknown[0], options)}"
        )


def _require_known_timm(encoder: str) -> None:
    import timm

    name = encoder.removeprefix(TIMM_PREFIX)
    if not timm.is_model(name):
        models = timm.list_models()
        raise ConfigError(
            f"model.encoder={encoder!r} is unknown to timm {timm.__version__}; of its {len(models)} models the nearest "
            f"are {_nearest(name, models)}"
        )


def _nearest(name: str, names: list[str]) -> str:
    return ", ".join(difflib.get_close_matches(name, names, n=LISTED_NAMES, cutoff=0.0))
