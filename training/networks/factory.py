"""A network of the user's own, from the function that builds it. The one place where code from a config is run."""

import importlib
import traceback
from collections.abc import Callable
from typing import Any

from torch import nn

from runtime.config import nearest
from runtime.errors import ConfigError
from training.networks.config import FactoryConfig
from training.networks.wrapped import WrappedNetwork

__all__ = ["build_factory"]


def build_factory(config: FactoryConfig, num_classes: int) -> WrappedNetwork:
    """Call the factory and wrap what it returns.

    Raises:
        ConfigError: there is no such function, it fails, or it returns something that the config does not describe.
    """
    factory = _find(config.factory)
    called = f"{config.factory} called with num_classes={num_classes} and model.arguments={config.arguments}"
    try:
        inner = factory(num_classes=num_classes, **config.arguments)
    except Exception as error:
        raise ConfigError(
            f"model.factory={called} failed with {_told(error)}; correct model.arguments or the function"
        ) from error
    if not isinstance(inner, nn.Module):
        raise ConfigError(
            f"model.factory={called} returned {type(inner).__name__}, expected a torch.nn.Module; return the network"
        )
    return WrappedNetwork(
        inner,
        feature_layer=config.feature_layer,
        head_layer=config.head_layer,
        logits=config.logits,
        align_corners=config.align_corners,
        size_multiple=config.size_multiple,
        channels_last=config.channels_last,
    )


def _find(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"model.factory={name}: {module_name} needs {error.name}, which is not installed"
            ) from error
        raise ConfigError(
            f"model.factory={name}: there is no module {error.name!r}; run the command in the folder that holds it, "
            "or install its package"
        ) from error
    except Exception as error:
        raise ConfigError(f"model.factory={name}: importing {module_name} failed with {_told(error)}") from error
    if not hasattr(module, function_name):
        public = [own for own, value in vars(module).items() if callable(value) and not own.startswith("_")]
        raise ConfigError(
            f"model.factory={name}: {module_name} has no {function_name!r}{nearest(function_name, sorted(public))}"
        )
    function = getattr(module, function_name)
    if not callable(function):
        raise ConfigError(
            f"model.factory={name}: {function_name} is a {type(function).__name__}; name a function or class that "
            "returns the network"
        )
    found: Callable[..., Any] = function
    return found


def _told(error: Exception) -> str:
    """An error of foreign code in one line, with the place it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
