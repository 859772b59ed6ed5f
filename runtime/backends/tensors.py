"""What a graph must take and give: the manifest's promise, checked against what an engine found in the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import BackendError

__all__ = ["LogitsLayout", "Tensors", "check_tensors", "read_model"]

Tensors = Mapping[str, tuple[str, tuple[int | str, ...]]]
"""Element type, by its numpy name, and shape of each tensor."""

# How ONNX stores the key of a tensor that lies in another file: field 1, eight bytes.
EXTERNAL_DATA = b"\x0a\x08location"


@dataclass(frozen=True, slots=True)
class LogitsLayout:
    """Logits (1, num_classes, h, w) instead of labels; `align_corners` says how they lie on the frame's pixels."""

    num_classes: int
    align_corners: bool


def read_model(path: Path) -> bytes:
    """Content of an ONNX file that needs no other.

    Engines get bytes and no path, and look for outside weights all the same: ONNX Runtime in the working folder,
    OpenVINO wherever the file says. No hash of the bundle covers those.

    Raises:
        BackendError: some of its weights lie in other files.
    """
    content = path.read_bytes()
    if EXTERNAL_DATA in content:
        raise BackendError(
            f"{path} has weights in other files, which the manifest does not vouch for; export the bundle again, or "
            "save the model with its weights inside"
        )
    return content


def check_tensors(path: Path, found: Tensors, frame_hw: tuple[int, int], logits: LogitsLayout | None) -> None:
    """Refuse a graph of other tensors than `frame` and either `labels` and `confidence`, or `logits`.

    Args:
        path: for the message.
        found: inputs and outputs of the graph.
        frame_hw: frame size that it must take.
        logits: what the graph gives instead of labels; None where it gives labels.

    Raises:
        BackendError: a name, type or shape is another.
    """
    expected: dict[str, tuple[str, tuple[int | str, ...]]] = {"frame": ("uint8", (1, *frame_hw, 3))}
    if logits is None:
        expected |= dict.fromkeys(("labels", "confidence"), ("uint8", (1, *frame_hw)))
    else:
        expected["logits"] = ("float32", (1, logits.num_classes, *_fixed_hw(found)))
    if dict(found) != expected:
        raise BackendError(f"{path} has tensors {found}; the manifest promises {expected}; export the bundle again")


def _fixed_hw(found: Tensors) -> tuple[int | str, int | str]:
    """Height and width of the logits, which the manifest does not give: any will do that are fixed."""
    shape = found.get("logits", ("", ()))[1]
    if len(shape) == 4 and isinstance(shape[2], int) and isinstance(shape[3], int):
        return shape[2], shape[3]
    return "h", "w"
