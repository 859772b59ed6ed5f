"""PyTorch deploy graph -> one self-contained ONNX file that ONNX Runtime and TensorRT both take."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from export.onnx_graph import IMAGE, LOGITS
from export.onnx_library import import_onnx
from export.onnx_precision import lower_precision
from runtime.errors import BackendError, GateError
from runtime.files import replacing
from training.frame_network import FrameNetwork

__all__ = ["OPSETS", "onnx_from_torch", "unfolded_batch_norms"]

FloatPrecision = Literal["fp32", "fp16", "bf16"]

# 18 has the newest Resize that ONNX Runtime runs on CUDA too, and later ones bring nothing this graph needs; but
# before 22 convolutions know no bfloat16.
OPSETS: Mapping[FloatPrecision, int] = {"fp32": 18, "fp16": 18, "bf16": 22}
# What ONNX Runtime 1.22 and TensorRT 10 read; the onnx package itself is further.
MAX_IR_VERSION = 10
_OUTPUTS = ("labels", "confidence")


def onnx_from_torch(
    network: FrameNetwork, path: Path, facts: Mapping[str, str], precision: FloatPrecision = "fp32"
) -> None:
    """Write the deploy graph as ONNX: static shapes, weights inside, batch norm folded into convolutions before it.

    Input `frame` (1, H, W, 3) uint8; outputs `labels` and `confidence`, both (1, H, W) uint8. Inside, `image` enters
    the network and `logits` (1, C, h, w) float32 leave it. In fp16 and bf16 all between the two computes in that type,
    what is before and behind stays float32.

    Args:
        network: in evaluation mode, on the CPU, in float32.
        path: where the file goes.
        facts: written into the model's metadata.
        precision: what the network computes in.

    Raises:
        BackendError: onnx is not installed, or the exporter failed.
        GateError: the exporter made something else than described here, or a weight is beyond what the type holds.
    """
    onnx = import_onnx()
    model = _export(network, OPSETS[precision])
    _strip_metadata(model)
    _keep_outputs(model)
    if problems := _problems(onnx, model, OPSETS[precision]):
        raise GateError(
            f"the ONNX graph made by torch {torch.__version__} is not what the runtime needs: {'; '.join(problems)}; "
            "no bundle was written; install the versions of torch, onnx and onnxscript that pyproject.toml names"
        )
    if precision != "fp32":
        lower_precision(model, precision)
        onnx.checker.check_model(model, full_check=True)
    onnx.helper.set_model_props(model, dict(facts))
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


class _Opened(nn.Module):
    """The deploy graph that gives its inner tensors as well; its parts keep the names they have there."""

    def __init__(self, whole: FrameNetwork) -> None:
        super().__init__()
        self.network, self.input = whole.network, whole.input
        self._stages = whole.stages
        self.eval()

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        stages = self._stages(frame)
        return stages.labels, stages.confidence, stages.logits, stages.image


def _export(network: FrameNetwork, opset: int) -> Any:
    frame = torch.zeros((1, *network.frame_hw, 3), dtype=torch.uint8)
    # stdout belongs to the JSON line; the exporter prints.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            program = torch.onnx.export(
                _Opened(network),
                (frame,),
                input_names=["frame"],
                output_names=[*_OUTPUTS, LOGITS, IMAGE],
                opset_version=opset,
                dynamo=True,
                external_data=False,
                optimize=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise BackendError(f"torch {torch.__version__} cannot export the network to ONNX: {error}") from error
    assert program is not None
    return program.model_proto


def _keep_outputs(model: Any) -> None:
    """Leave the inner tensors inside, under the names they got as outputs."""
    outputs = list(model.graph.output)
    del model.graph.output[:]
    for output in outputs:
        kept = model.graph.output if output.name in _OUTPUTS else model.graph.value_info
        kept.append(output)


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


def _problems(onnx: Any, model: Any, opset: int) -> list[str]:
    """What is wrong with a model, in words; nothing where all is well."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return [f"onnx.checker refuses it ({error})"]
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    entries = {node.op_type for node in model.graph.node if "frame" in node.input}
    external = [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    missing = {IMAGE, LOGITS}.difference(*(node.output for node in model.graph.node))
    found = {
        f"opsets are {opsets}, expected only {opset}": opsets != {"": opset},
        f"IR version is {model.ir_version}, expected at most {MAX_IR_VERSION}": model.ir_version > MAX_IR_VERSION,
        "batch norm is not folded": bool(unfolded_batch_norms(model.graph)),
        f"the frame enters {sorted(entries)} before it is cast, which TensorRT refuses": entries != {"Cast"},
        f"{len(external)} weights lie outside the file": bool(external),
        f"no tensor is named {' or '.join(sorted(missing))}": bool(missing),
    }
    return [problem for problem, is_present in found.items() if is_present]
