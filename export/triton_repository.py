"""A bundle as a model repository of the Triton Inference Server: one folder for each model, ready to be served.

    <folder>/<name>/config.pbtxt    shapes, device, warm-up, and where the model comes from
    <folder>/<name>/labels.txt      class names, one a line; the first is of label 0
    <folder>/<name>/1/              model.onnx or model.plan
    <folder>/<name>/warmup/frame    the bundle's first golden frame, run before the model is called ready

`tritonserver --model-repository <folder>` serves it.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.manifest import MANIFEST_NAME, Artefact, Format, Manifest
from runtime.bundle.opening import read_manifest, verified_path
from runtime.errors import BundleError, ConfigError
from runtime.files import sha256_of, writable_folder

__all__ = ["TritonModel", "write_triton_repository"]

# Triton's name for what runs a file, and the file name that it looks for.
SERVED: Mapping[Format, tuple[str, str]] = {
    "onnx": ("onnxruntime_onnx", "model.onnx"),
    "tensorrt": ("tensorrt_plan", "model.plan"),
}
CONFIG_NAME, LABELS_NAME, WARMUP_NAME = "config.pbtxt", "labels.txt", "frame"
FIRST_LINE = "# Written by `python -m export triton` from a verified bundle; write it again instead of editing it."
# The first run of an engine allocates and chooses, the second still does so now and then.
NUM_WARMUP_RUNS = 3


@dataclass(frozen=True, slots=True)
class TritonModel:
    """One model of a repository: its name in Triton and the artefact it serves."""

    name: str
    artefact: str
    platform: str


def write_triton_repository(
    bundle: Path, folder: Path, *, artefacts: Sequence[str] = (), instances: int = 1
) -> tuple[TritonModel, ...]:
    """Write a bundle's artefacts as a Triton model repository, whole or not at all.

    Every model takes `frame` (1, H, W, 3) uint8 RGB and gives `labels` and `confidence`, both (1, H, W) uint8, as the
    manifest says. Requests are not batched: a network of one fixed frame size gains nothing, and each would wait.

    Args:
        bundle: a bundle; what is copied from it is compared with its SHA-256 first.
        folder: the repository. One that this function wrote is replaced, anything else is left alone and refused.
        artefacts: names of those to serve; none given takes the first that Triton can serve. Triton loads them all.
        instances: copies of each model that serve at the same time.

    Returns:
        The models in the order of `artefacts`.

    Raises:
        BundleError: the bundle is incomplete, altered or of another schema version.
        ConfigError: an artefact is not there or not one that Triton can serve, or the folder holds something else or
            cannot be written.
    """
    if instances < 1:
        raise ConfigError(f"instances={instances}: at least 1")
    manifest = read_manifest(bundle)
    chosen = _choose(bundle, manifest, artefacts)
    golden = _golden_frame(bundle, manifest)
    provenance = {"bundle_manifest_sha256": sha256_of(bundle / MANIFEST_NAME)}
    models = []
    with _replacing_repository(folder) as new:
        for artefact in chosen:
            platform, file = SERVED[artefact.format]
            model = TritonModel(_model_name(artefact), artefact.file, platform)
            place = new / model.name
            (place / "1").mkdir(parents=True)
            (place / "warmup").mkdir()
            shutil.copyfile(verified_path(bundle, artefact), place / "1" / file)
            (place / "warmup" / WARMUP_NAME).write_bytes(golden.tobytes())
            (place / LABELS_NAME).write_text(_labels(manifest), encoding="utf-8")
            (place / CONFIG_NAME).write_text(_config(model, artefact, manifest, provenance, instances), "utf-8")
            models.append(model)
    return tuple(models)


def _choose(bundle: Path, manifest: Manifest, names: Sequence[str]) -> list[Artefact]:
    if len(set(names)) != len(names):
        raise ConfigError(f"artefacts {', '.join(names)}: each at most once")
    entries = {artefact.file: artefact for artefact in manifest.artefacts}
    problems = {name: _why_not_served(artefact) for name, artefact in entries.items()}
    servable = [name for name, problem in problems.items() if problem is None]
    if not servable:
        reasons = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise ConfigError(f"Triton can serve nothing of bundle {bundle}: {reasons}; export fp32.onnx as well")
    for name in names:
        if name not in entries:
            raise ConfigError(f"bundle {bundle} has no artefact {name!r}; Triton can serve {', '.join(servable)}")
        if problems[name] is not None:
            raise ConfigError(f"{name} {problems[name]}; Triton can serve {', '.join(servable)}")
    return [entries[name] for name in names or servable[:1]]


def _why_not_served(artefact: Artefact) -> str | None:
    """Why Triton cannot serve an artefact, in words that follow its name."""
    if artefact.format not in SERVED:
        return f"is of format {artefact.format}, for which no backend of Triton takes frames of uint8 as they are"
    if artefact.tail != "labels":
        return "ends in logits, which Triton would send to the client instead of labels"
    if artefact.engine is not None and artefact.engine.library != "tensorrt":
        return "is an engine of TensorRT-RTX, and Triton loads those of TensorRT"
    if artefact.not_run is not None:
        return f"was never compared with PyTorch ({artefact.not_run})"
    return None


def _golden_frame(bundle: Path, manifest: Manifest) -> NDArray[np.uint8]:
    path = verified_path(bundle, manifest.golden.frames)
    frames: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    expected = (manifest.golden.num_frames, *manifest.frame_hw, 3)
    if frames.shape != expected or frames.dtype != np.uint8:
        raise BundleError(
            f"{path} holds {frames.dtype} of shape {frames.shape}, the manifest says uint8 of {expected}; export the "
            "bundle again"
        )
    first: NDArray[np.uint8] = frames[0]
    return first


def _model_name(artefact: Artefact) -> str:
    """`int8-cpu.onnx` becomes `int8-cpu-onnx`: Triton takes names without dots everywhere."""
    return artefact.file.replace(".", "-")


def _labels(manifest: Manifest) -> str:
    # A name of two lines would shift all that follow.
    return "".join(" ".join(entry.name.split()) + "\n" for entry in manifest.classes)


def _config(
    model: TritonModel, artefact: Artefact, manifest: Manifest, provenance: Mapping[str, str], instances: int
) -> str:
    """The model's `config.pbtxt`: a text-format `inference.ModelConfig`."""
    height, width = manifest.frame_hw
    frame = f"[ 1, {height}, {width}, 3 ]"
    label_map = f"[ 1, {height}, {width} ]"
    facts = {
        **provenance,
        "artefact": artefact.file,
        "artefact_sha256": artefact.sha256,
        "precision": artefact.precision,
        "classes": ", ".join(f"{index} {entry.name}" for index, entry in enumerate(manifest.classes)),
    }
    if artefact.engine is not None:
        facts["tensorrt"] = artefact.engine.version
        facts["compute_capabilities"] = ", ".join(artefact.engine.compute_capabilities)
    parameters = "\n".join(
        f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
        for key, value in facts.items()
    )
    return f"""{FIRST_LINE}
{_server_note(artefact)}name: {_quoted(model.name)}
platform: {_quoted(model.platform)}
# Shapes are those of the network, the 1 included; Triton adds no batch dimension.
max_batch_size: 0
input {{ name: "frame" data_type: TYPE_UINT8 dims: {frame} }}
output {{ name: "labels" data_type: TYPE_UINT8 dims: {label_map} label_filename: {_quoted(LABELS_NAME)} }}
output {{ name: "confidence" data_type: TYPE_UINT8 dims: {label_map} }}
instance_group {{ count: {instances} kind: {_kind(artefact)} }}
version_policy {{ specific {{ versions: 1 }} }}
model_warmup {{
  name: "golden frame"
  batch_size: 1
  count: {NUM_WARMUP_RUNS}
  inputs {{
    key: "frame"
    value {{ data_type: TYPE_UINT8 dims: {frame} input_data_file: {_quoted(WARMUP_NAME)} }}
  }}
}}
{parameters}
"""


def _server_note(artefact: Artefact) -> str:
    """What the server needs beside the file; nothing for most."""
    if artefact.engine is None or not artefact.engine.version_compatible:
        return ""
    return (
        "# Start tritonserver with --backend-config=tensorrt,version-compatible=true: the engine brings its runtime.\n"
    )


def _kind(artefact: Artefact) -> Literal["KIND_AUTO", "KIND_CPU", "KIND_GPU"]:
    """Engines need a GPU; unsigned integers are for CPUs; anything else goes where Triton has room."""
    if artefact.format == "tensorrt":
        return "KIND_GPU"
    if artefact.quantization is not None and artefact.quantization.scheme == "u8s8":
        return "KIND_CPU"
    return "KIND_AUTO"


def _quoted(text: str) -> str:
    # JSON's strings are strings of protobuf's text format too.
    return json.dumps(text, ensure_ascii=False)


@contextmanager
def _replacing_repository(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; rename it to `folder` when the block ends well, delete it otherwise."""
    folder = folder.resolve()
    _refuse_foreign(folder)
    workplace = Path(mkdtemp(prefix=f".{folder.name}-", dir=writable_folder(folder.parent)))
    new, old = workplace / "new", workplace / "old"
    try:
        new.mkdir()
        yield new
        # Again, because someone may have put something there meanwhile.
        _refuse_foreign(folder)
        try:
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        except OSError as error:
            if old.exists():
                old.rename(folder)
            raise ConfigError(
                f"model repository {folder} cannot be replaced ({error.strerror}); a mounted folder cannot: give one "
                "inside it"
            ) from error
    finally:
        shutil.rmtree(workplace)


def _refuse_foreign(folder: Path) -> None:
    """Only a repository of ours may be replaced: a mistyped path must not cost anyone a folder."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"model repository {folder} is a file; choose a folder")
    for entry in folder.iterdir():
        if not _is_ours(entry):
            raise ConfigError(
                f"model repository {folder} holds {entry.name!r}, which was not written from a bundle, so it is not "
                "replaced; choose another folder, and copy the models from there"
            )


def _is_ours(model: Path) -> bool:
    config = model / CONFIG_NAME
    names = {"1", "warmup", CONFIG_NAME, LABELS_NAME}
    if not config.is_file() or {entry.name for entry in model.iterdir()} != names:
        return False
    return config.read_text("utf-8", errors="replace").startswith(FIRST_LINE)
