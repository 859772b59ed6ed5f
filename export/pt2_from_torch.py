"""PyTorch deploy graph -> `.pt2`, the program of `torch.export`, for hosts that run torch or compile with AOTInductor.

It takes the place of TorchScript, which PyTorch deprecates.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from runtime.errors import BackendError
from runtime.files import replacing
from training.frame_network import FrameNetwork

__all__ = ["FACTS_NAME", "load_pt2", "pt2_from_torch"]

FACTS_NAME = "iapc.json"


def pt2_from_torch(network: FrameNetwork, path: Path, facts: Mapping[str, str]) -> None:
    """Write the deploy graph as a program of static shape; the same network gives the same bytes.

    Called with (1, H, W, 3) uint8 frames it gives `(labels, confidence)`, both (1, H, W) uint8.

    Args:
        network: in evaluation mode, on the CPU.
        path: where the file goes.
        facts: written into the file as the extra file `iapc.json`.

    Raises:
        BackendError: the network does something that a program cannot hold.
    """
    frame = torch.zeros((1, *network.frame_hw, 3), dtype=torch.uint8)
    try:
        with torch.no_grad():
            program = torch.export.export(network, (frame,))
    # Whatever the network's own code meets while it is traced.
    except Exception as error:
        raise BackendError(
            f"torch {torch.__version__} cannot export the network as a program ({type(error).__name__}: {error}); "
            "make its code traceable by torch.export, or remove fp32.pt2 from export.artefacts"
        ) from error
    _forget_the_machine(program)
    # Through memory: the archive would otherwise be named after the temporary file.
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={FACTS_NAME: json.dumps(dict(facts))})
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_pt2(path: Path) -> nn.Module:
    """Load a program on the CPU, as a module that takes frames.

    Raises:
        BackendError: the file is no program, or torch cannot read it.
    """
    # torch reports anything else as a failed check of its own, after pages of log.
    if not zipfile.is_zipfile(path):
        raise BackendError(f"{path} is no torch.export program; give a file that this project's export wrote")
    try:
        module: nn.Module = torch.export.load(path).module()
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise BackendError(f"torch {torch.__version__} cannot read {path}: {error}") from error
    return module


def _forget_the_machine(program: torch.export.ExportedProgram) -> None:
    """Remove where the code lay on the exporting machine, and the black frame it was traced with."""
    program.example_inputs = None
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
