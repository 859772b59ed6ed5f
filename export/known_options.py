"""Options of other exporters and what to write here instead: the table of `--help` and of docs/export.md."""

from dataclasses import dataclass

__all__ = ["MMDEPLOY", "ULTRALYTICS", "KnownOption", "help_table", "markdown_table"]


@dataclass(frozen=True, slots=True)
class KnownOption:
    """An option of another exporter, and the key here; `ours` is None where none is needed, and `why` says why."""

    theirs: str
    ours: str | None
    why: str


ULTRALYTICS = (
    KnownOption("format", "artefacts", "a list: one bundle holds many, each proven before it is in"),
    KnownOption("imgsz", "frame_hw", "the camera's size; network_hw is what the network sees; resizing is inside"),
    KnownOption("half", "artefacts", "fp16.onnx, fp16.engine, bf16.onnx, bf16.engine"),
    KnownOption("int8", "artefacts", "int8-cpu.onnx for CPUs, int8-gpu.onnx and int8.engine for TensorRT"),
    KnownOption("data", "frames", "your own unlabelled target frames; no example data set stands in for them"),
    KnownOption("fraction", "int8.num_calibration_frames", "a number, chosen to cover the classes"),
    KnownOption("dynamic", None, "the frames of a camera have one size; export once per camera"),
    KnownOption("batch", None, "always 1: a frame is segmented when it is there, not when others are"),
    KnownOption("simplify", None, "always, by the exporter's own optimiser; unfolded batch norm is an error"),
    KnownOption("opset", None, "18, whose Resize ONNX Runtime runs on GPUs too; bf16 needs 22"),
    KnownOption("optimize", None, "TorchScript is always frozen"),
    KnownOption("workspace", "tensorrt.workspace_mib", "in MiB"),
    KnownOption("nms, end2end", None, "for boxes; argmax and confidence are inside, or left to the host (logits)"),
    KnownOption("device", None, "files are made on the CPU, engines on the GPU that TensorRT finds"),
    KnownOption("keras", None, "no TensorFlow, CoreML or NCNN; OpenVINO reads the ONNX files as they are"),
)
MMDEPLOY = (
    KnownOption(
        "deploy_cfg", "artefacts", "with budgets, int8 and tensorrt beside it, in the section export of CONFIG"
    ),
    KnownOption("model_cfg", None, "the checkpoint describes its network, input and classes itself"),
    KnownOption("checkpoint", "checkpoint", "a file that adapt or train-source wrote"),
    KnownOption("img, --test-img", "frames", "num_gate_frames of them, compared pixel by pixel instead of looked at"),
    KnownOption("--work-dir", "bundle", "replaced as a whole when the new bundle is complete"),
    KnownOption("--calib-dataset-cfg", "frames", "calibration takes others than the gate"),
    KnownOption("--quant, --quant-image-dir", "int8", "ranges, float layers, quantization-aware training: int8.aware"),
    KnownOption("--device", None, "as above"),
    KnownOption("--dump-info", None, "always: manifest.json, and inside every file but engines (inspect FILE)"),
    KnownOption("--show", None, "differences of a refused artefact are drawn into a picture"),
    KnownOption("--log-level", None, "people read stderr, programs the one line of stdout"),
    KnownOption("--uri", None, "no remote devices; copy the bundle and run `python -m runtime` there"),
)
NOT_NEEDED = "-"


def help_table(options: tuple[KnownOption, ...]) -> str:
    """The table as plain text, for `--help`."""
    theirs = max(len(option.theirs) for option in options)
    ours = max(len(option.ours or NOT_NEEDED) for option in options)
    return "\n".join(
        f"  {option.theirs:<{theirs}}  {option.ours or NOT_NEEDED:<{ours}}  {option.why}" for option in options
    )


def markdown_table(options: tuple[KnownOption, ...]) -> str:
    """The table as Markdown, for docs/export.md."""
    rows = [
        f"| `{option.theirs}` | {f'`{option.ours}`' if option.ours else 'not needed'} | {option.why} |"
        for option in options
    ]
    return "\n".join(("| theirs | ours, in `export:` | |", "|---|---|---|", *rows))
