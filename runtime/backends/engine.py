"""What the runtime asks of an inference engine, and what makes a backend of it."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.backends.tensors import LogitsLayout

__all__ = ["Engine", "HostTail", "LabelsInGraph"]

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Engine(Protocol):
    """A graph in an engine, with outputs in buffers that stay the same for its whole life."""

    @property
    def outputs(self) -> Mapping[str, NDArray[Any]]:
        """The outputs by name, read-only; `run` overwrites them."""
        ...

    def run(self, frame: NDArray[np.uint8]) -> None:
        """Compute the outputs of one frame (1, H, W, 3), contiguous.

        Raises:
            BackendError: the engine failed, or was closed.
        """
        ...

    def close(self) -> None:
        """Give back the engine's memory; may be repeated."""
        ...


class LabelsInGraph:
    """Backend of a graph that gives `labels` and `confidence` itself."""

    def __init__(self, engine: Engine) -> None:
        """Take over an engine; `close` closes it."""
        self._engine = engine
        self._maps: Maps = engine.outputs["labels"], engine.outputs["confidence"]

    def infer(self, frame: NDArray[np.uint8]) -> Maps:
        """Labels and confidence of one frame; see `Backend.infer`."""
        self._engine.run(frame)
        return self._maps

    def close(self) -> None:
        """See `Backend.close`."""
        self._engine.close()


class HostTail:
    """Backend of a graph that ends in `logits`: the host makes the labels, with less work than the graph would."""

    def __init__(self, engine: Engine, frame_hw: tuple[int, int], layout: LogitsLayout) -> None:
        """Take over an engine; `close` closes it.

        Raises:
            ValueError: there are more classes than a label map can tell apart.
        """
        # Here, because a vehicle whose artefact gives labels needs none of it.
        from runtime.tail import Tail

        self._engine = engine
        self._logits: NDArray[np.float32] = engine.outputs["logits"][0]
        height, width = self._logits.shape[1:]
        self._tail = Tail((height, width), frame_hw, layout.num_classes, align_corners=layout.align_corners)

    def infer(self, frame: NDArray[np.uint8]) -> Maps:
        """Labels and confidence of one frame; see `Backend.infer`."""
        self._engine.run(frame)
        labels, confidence = self._tail(self._logits)
        return labels[np.newaxis], confidence[np.newaxis]

    def close(self) -> None:
        """See `Backend.close`."""
        self._engine.close()
