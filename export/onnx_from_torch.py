"""PyTorch deploy graph -> one self-contained ONNX file that ONNX Runtime and TensorRT both take."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from runtime.errors import BackendError, GateError
from runtime.files import replacing
from training.frame_network import FrameNetwork

__all__ = ["OPSET", "onnx_from_torch", "unfolded_batch_norms"]

# The newest opset whose Resize ONNX Runtime runs on CUDA too; all later ones bring nothing this graph needs.
OPSET = 18
# What ONNX Runtime 1.22 and TensorRT 10 read; the onnx package itself is further.
MAX_IR_VERSION = 10


def onnx_from_torch(network: FrameNetwork, path: Path, facts: Mapping[str, str]) -> None:
    """Write the deploy graph as ONNX: static shapes, weights inside, batch norm folded into convolutions before it.

    Input `frame` (1, H, W, 3) uint8; outputs `labels` and `confidence`, both (1, H, W) uint8.

    Args:
        network: in evaluation mode, on the CPU.
        path: where the file goes.
        facts: written into the model's metadata.

    Raises:
        BackendError: onnx is not installed, or the exporter failed.
        GateError: the exporter made something else than described here.
    """
    onnx = _import_onnx()
    model = _export(network)
    _strip_metadata(model)
    onnx.helper.set_model_props(model, dict(facts))
    if problems := _problems(onnx, model):
        raise GateError(
            f"the ONNX graph made by torch {torch.__version__} is not what the runtime needs: {'; '.join(problems)}; "
            "no bundle was written; install the versions of torch, onnx and onnxscript that pyproject.toml names"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _import_onnx() -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401  the exporter's own dependency, which it reports less clearly
    except ImportError as error:
        raise BackendError(
            f"ONNX export needs onnx and onnxscript, which cannot be imported ({error}); install them with "
            "`pip install 'iapc[export]'`"
        ) from error
    return onnx


def _export(network: FrameNetwork) -> Any:
    frame = torch.zeros((1, *network.frame_hw, 3), dtype=torch.uint8)
    # stdout belongs to the JSON line; the exporter prints.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            program = torch.onnx.export(
                network,
                (frame,),
                input_names=["frame"],
                output_names=["labels", "confidence"],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                optimize=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise BackendError(f"torch {torch.__version__} cannot export the network to ONNX: {error}") from error
    assert program is not None
    return program.model_proto


def _strip_metadata(model: Any) -> None:
    """Remove the exporter's notes: stack traces with paths of the exporting machine, which nobody needs later."""
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")


def unfolded_batch_norms(graph: Any) -> list[str]:
    """Names of batch-norm nodes that a convolution before them could have taken in.

    One behind a sum or a concatenation, as in DenseNet, has to stay, and so has one whose convolution feeds others too.
    """
    weights = {tensor.name for tensor in graph.initializer}
    fed = [name for node in graph.node for name in node.input] + [output.name for output in graph.output]
    could = {
        output
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in weights
        for output in node.output
        if fed.count(output) == 1
    }
    return [node.name for node in graph.node if node.op_type == "BatchNormalization" and node.input[0] in could]


def _problems(onnx: Any, model: Any) -> list[str]:
    """What is wrong with a model, in words; nothing where all is well."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return [f"onnx.checker refuses it ({error})"]
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    entries = {node.op_type for node in model.graph.node if "frame" in node.input}
    external = [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    found = {
        f"opsets are {opsets}, expected only {OPSET}": opsets != {"": OPSET},
        f"IR version is {model.ir_version}, expected at most {MAX_IR_VERSION}": model.ir_version > MAX_IR_VERSION,
        "batch norm is not folded": bool(unfolded_batch_norms(model.graph)),
        f"the frame enters {sorted(entries)} before it is cast, which TensorRT refuses": entries != {"Cast"},
        f"{len(external)} weights lie outside the file": bool(external),
    }
    return [problem for problem, is_present in found.items() if is_present]
