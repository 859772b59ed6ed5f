"""Anyone's network behind the one contract: logits out of whatever it returns, features out of a layer by name."""

import difflib
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from runtime.errors import ConfigError
from training.networks.network import NetworkOutput, SegmentationNetwork

__all__ = ["WrappedNetwork"]

NAMED_LOGITS = ("out", "logits")
LISTED_NAMES = 8


class WrappedNetwork(SegmentationNetwork):
    """(N, 3, H, W) normalised image -> `NetworkOutput` of a network that knows nothing of this project.

    Features are caught by a forward hook that lives for one call, so that copies, state and exported graphs are those
    of the bare network; `logits` needs no hook at all.
    """

    def __init__(
        self,
        inner: nn.Module,
        *,
        feature_layer: str,
        head_layer: str = "",
        logits: str | int | None = None,
        align_corners: bool = False,
        size_multiple: int = 1,
        channels_last: bool = False,
    ) -> None:
        """Wrap a network.

        Args:
            inner: takes a (N, 3, H, W) image.
            feature_layer: dotted name of the module in it whose output is the features; of several outputs, the last.
            head_layer: dotted name of its classifier; empty where none is named.
            logits: key, attribute or index of the logits in what it returns; None takes `out`, `logits` or the first.
            align_corners: how its logits lie on the image.
            size_multiple: what height and width of an image must be multiples of.
            channels_last: whether its code can compute on channels-last memory.

        Raises:
            ConfigError: it has no module of one of the names.
        """
        super().__init__()
        _require_layer(inner, "feature_layer", feature_layer)
        if head_layer:
            _require_layer(inner, "head_layer", head_layer)
        self.inner = inner
        self.feature_layer = feature_layer
        self.logits_key = logits
        self.head = f"inner.{head_layer}" if head_layer else ""
        self.align_corners = align_corners
        self.size_multiple = size_multiple
        self.channels_last = channels_last

    def forward(self, image: Tensor) -> NetworkOutput:
        """Logits and features of a batch of images.

        Raises:
            ConfigError: the network returns no logits, or the feature layer no map, where the config says.
        """
        caught: list[Any] = []
        layer = self.inner.get_submodule(self.feature_layer)
        handle = layer.register_forward_hook(lambda module, inputs, output: caught.append(output))
        try:
            logits = self.logits(image)
        finally:
            handle.remove()
        if not caught:
            raise ConfigError(
                f"model.feature_layer={self.feature_layer!r} takes no part in computing the network's output; name a "
                "module that is called on the way from image to logits"
            )
        return NetworkOutput(logits=logits, features=_feature_map(caught[-1], self.feature_layer))

    def logits(self, image: Tensor) -> Tensor:
        """Logits alone, (N, C, h, w).

        Raises:
            ConfigError: the network returns none where the config says.
        """
        # Frames arrive channels first of a channels-last picture, a layout that foreign code may not expect.
        output = self.inner(image if self.channels_last else image.contiguous())
        logits = _choose(output, self.logits_key)
        if not isinstance(logits, Tensor):
            key = "" if self.logits_key is None else f" under model.logits={self.logits_key!r}"
            raise ConfigError(
                f"the network returns {_describe(output)} and no tensor{key}; set model.logits to the key, attribute "
                "or index of its logits"
            )
        if logits.dim() != 4:
            raise ConfigError(
                f"the network's logits have shape {tuple(logits.shape)}, expected (N, C, h, w); if they are another "
                "of its outputs, set model.logits to its key, attribute or index"
            )
        return logits


def _choose(output: Any, key: str | int | None) -> Any:
    """The logits in what a network returned; None where there are none.

    A plain tensor is the logits whatever the key: many networks return more than that in training mode alone.
    """
    if isinstance(output, Tensor):
        return output
    if key is None:
        keys: tuple[str | int, ...] = (*NAMED_LOGITS, 0)
        return next((found for name in keys if (found := _entry(output, name)) is not None), None)
    return _entry(output, key)


def _entry(output: Any, key: str | int) -> Any:
    """One entry by key, attribute or place; None where there is none."""
    if isinstance(key, int):
        entries = list(output.values()) if isinstance(output, Mapping) else output
        is_there = isinstance(entries, list | tuple) and -len(entries) <= key < len(entries)
        return entries[key] if is_there else None
    return output.get(key) if isinstance(output, Mapping) else getattr(output, key, None)


def _feature_map(output: Any, layer: str) -> Tensor:
    """The last tensor of what the feature layer returned, which must be a map."""
    tensors = [entry for entry in output if isinstance(entry, Tensor)] if isinstance(output, list | tuple) else [output]
    features = tensors[-1] if tensors else None
    if not isinstance(features, Tensor) or features.dim() != 4:
        got = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else _describe(output)
        raise ConfigError(
            f"model.feature_layer={layer!r} returns {got}, expected a map (N, D, h, w); name a module behind the point "
            "where tokens become a map again, such as the decoder"
        )
    return features


def _describe(output: Any) -> str:
    """The type of an output and what is in it."""
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} of {', '.join(repr(key) for key in output)}"
    if isinstance(output, list | tuple):
        return f"a {type(output).__name__} of {', '.join(type(entry).__name__ for entry in output) or 'nothing'}"
    return f"a {type(output).__name__}"


def _require_layer(inner: nn.Module, key: str, name: str) -> None:
    """Refuse a name that no module has.

    Raises:
        ConfigError: with the nearest names, or those at the top where none is near.
    """
    names = [own for own, _ in inner.named_modules() if own]
    if name in names:
        return
    listed = difflib.get_close_matches(name, names, n=LISTED_NAMES) or [own for own in names if "." not in own]
    found = f"its modules are named like {', '.join(listed[:LISTED_NAMES])}" if names else "it has no modules inside"
    raise ConfigError(f"model.{key}={name!r} is no module of {type(inner).__name__}; {found}")
