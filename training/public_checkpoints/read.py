"""Reading files of other projects: safetensors, or pickles of tensors that may not run anything."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from runtime.errors import CheckpointError
from training.checkpoint import METADATA_KEY

__all__ = ["is_our_own", "read_document"]

# Several trainers keep their best score as a numpy scalar beside the weights. Its constructor is allowed under the
# names numpy gave it before and after version 2, with the types of plain numbers, and nothing else of numpy.
_SCALAR = np.float64(0.0).__reduce__()[0]
_SAFE: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8")},
]
_REFUSED = re.compile(r"GLOBAL (\S+)")


def is_our_own(path: Path) -> bool:
    """Whether a file is one that this project wrote, or is named like one and cannot be opened."""
    try:
        with safe_open(path, framework="pt") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return path.suffix == ".safetensors" or not path.is_file()


def read_document(path: Path) -> Mapping[str, Any]:
    """What a checkpoint file holds, tensors on the CPU; opening it runs no code from it.

    Raises:
        CheckpointError: the file is missing, damaged, no dictionary, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist; correct the path")
    tensors = _read_safetensors(path)
    document = _read_pickle(path) if tensors is None else tensors
    if not isinstance(document, Mapping):
        raise CheckpointError(
            f"checkpoint {path} holds a {type(document).__name__}, expected a dictionary of tensors; "
            "save `network.state_dict()` where it came from"
        )
    return document


def _read_safetensors(path: Path) -> dict[str, Any] | None:
    """Tensors of a safetensors file; None where it is of another kind."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        if path.suffix == ".safetensors":
            raise CheckpointError(f"checkpoint {path} is damaged ({error}); download it again") from error
        return None


def _read_pickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_SAFE), warnings.catch_warnings():
            # What torch warns of here it then refuses, or reads in full.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _explain(path, error) from error
    except (RuntimeError, OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _explain(path: Path, error: Exception) -> CheckpointError:
    named = _REFUSED.search(str(error))
    if named is None:
        return _damaged(path, str(error).split("WeightsUnpickler error:")[-1])
    return CheckpointError(
        f"checkpoint {path} holds more than tensors: it would call {named.group(1)}, which was refused, as anything "
        "is that could run code. Where you trust the file, open it in the project it came from and save "
        "`network.state_dict()` alone"
    )


def _damaged(path: Path, reason: str) -> CheckpointError:
    first = reason.strip().splitlines()[0].split(". ")[0]
    return CheckpointError(f"checkpoint {path} is damaged or no PyTorch file ({first}); download it again")
