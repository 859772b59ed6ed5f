"""PyTorch deploy graph -> TorchScript, for hosts that embed libtorch.

PyTorch deprecates TorchScript; where it is gone one day, this file goes with it and nothing else changes.
"""

import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from runtime.files import replacing
from training.frame_network import FrameNetwork

__all__ = ["FACTS_NAME", "load_torchscript", "torchscript_from_torch"]

FACTS_NAME = "iapc.json"
_MANGLED = re.compile(rb"___torch_mangle_\d+")


def torchscript_from_torch(network: FrameNetwork, path: Path, facts: Mapping[str, str]) -> None:
    """Write the deploy graph as traced, frozen TorchScript of static shape; the same network gives the same bytes.

    Called with (1, H, W, 3) uint8 frames it gives `(labels, confidence)`, both (1, H, W) uint8.

    Args:
        network: in evaluation mode, on the CPU.
        path: where the file goes.
        facts: written into the file as the extra file `iapc.json`.
    """
    frame = torch.zeros((1, *network.frame_hw, 3), dtype=torch.uint8)
    # Through memory: the archive would otherwise be named after the temporary file.
    buffer = io.BytesIO()
    with torch.no_grad(), _expected_warnings():
        # The trace is not checked here: the parity gate compares it on real frames, not on a black one.
        traced = torch.jit.trace(network, (frame,), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(torch.jit.freeze(traced), buffer, _extra_files={FACTS_NAME: json.dumps(dict(facts))})
    with replacing(path) as temporary:
        _write_reproducibly(buffer, temporary)


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Load a TorchScript file on the CPU."""
    with _expected_warnings():
        module: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return module


def _write_reproducibly(archive: io.BytesIO, path: Path) -> None:
    """Write an archive without what differs from machine to machine and from call to call.

    That is where the code lay, which torch keeps for its error messages, the number that torch gives each traced
    class of a process, and a checksum of both. None is needed to load the file.
    """
    numbers: dict[bytes, bytes] = {}

    def renumbered(found: re.Match[bytes]) -> bytes:
        return numbers.setdefault(found[0], b"___torch_mangle_%d" % len(numbers))

    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            if name.endswith((".debug_pkl", "/.data/serialization_id")):
                continue
            content = source.read(name)
            if name.endswith((".pkl", ".py")):
                content = _MANGLED.sub(renumbered, content)
            # Of a fixed date; its own default is now.
            entry = zipfile.ZipInfo(_MANGLED.sub(renumbered, name.encode()).decode())
            target.writestr(entry, content)


@contextmanager
def _expected_warnings() -> Iterator[None]:
    """Silence the deprecation, which this module's docstring answers, and the tracer's remark on fixed sizes.

    The tracer sees Python compare the frame's size with the network's; both are constants of the artefact.
    """
    with warnings.catch_warnings():
        # A FutureWarning since torch 2.14, a DeprecationWarning before.
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is (deprecated|not supported)")
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python boolean might cause the trace")
        yield
