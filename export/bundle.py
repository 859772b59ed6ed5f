"""From a config to a bundle: everything is made and proven in a folder beside, which is renamed when complete."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from export.backends import TensorRtBackend, TorchBackend, why_not_run
from export.config import ArtefactFormat, ExportConfig
from export.frozen import Frozen, freeze, open_target_frames
from export.onnx_from_torch import onnx_from_torch
from export.parity import Compared, check_parity, compare
from export.provenance import artefact_facts, provenance
from export.tensorrt_from_onnx import tensorrt_from_onnx
from export.torchscript_from_torch import load_torchscript, torchscript_from_torch
from runtime.backends import Backend, open_backend
from runtime.command import say
from runtime.errors import BackendError, BundleError, ConfigError, GateError
from runtime.files import replacing, sha256_of, writable_folder, write_json
from runtime.manifest import MANIFEST_NAME, Artefact, BundleFile, ClassInfo, EngineInfo, Golden, Manifest
from runtime.segmenter import Segmenter
from runtime.settings import CpuConfig

__all__ = ["export_bundle", "replacing_bundle"]

FILES: Mapping[ArtefactFormat, str] = {
    "onnx": "fp32.onnx",
    "torchscript": "fp32.torchscript",
    "tensorrt": "fp32.engine",
}
GOLDEN_FRAMES, GOLDEN_LABELS = "golden_frames.npy", "golden_labels.npy"


@dataclass(frozen=True, slots=True)
class Made:
    """An artefact on disk that no one has compared yet."""

    format: ArtefactFormat
    path: Path
    engine: EngineInfo | None = None

    @property
    def not_run(self) -> str | None:
        """Why it cannot be run on this machine; None where it can."""
        return None if self.engine is None else why_not_run(self.engine)


def export_bundle(config: ExportConfig) -> Manifest:
    """Freeze the checkpoint, make each artefact, compare it with PyTorch, and write the bundle.

    Raises:
        ConfigError: the bundle's folder cannot be written or holds something else.
        CheckpointError: the network file cannot be used.
        DataError: the target frames cannot be read or differ in size.
        BackendError: an exporter or engine is missing or failed.
        GateError: an artefact differs from PyTorch. Whatever is raised, a bundle that was there before still is.
    """
    with replacing_bundle(config.bundle) as folder:
        frames = open_target_frames(config)
        frozen = freeze(config, frames.frame_hw)
        made = _make_artefacts(frozen, config, folder)
        with ExitStack() as stack:
            backends = {}
            for artefact in made:
                if artefact.not_run is None:
                    backends[artefact.path.name] = backend = _open(artefact, frames.frame_hw)
                    stack.callback(backend.close)
            compared = compare(frozen, frames, backends, num_golden_frames=config.num_golden_frames)
        artefacts = [_describe(artefact, compared) for artefact in made]
        check_parity(
            artefacts,
            min_label_agreement=config.min_label_agreement,
            max_confidence_difference=config.max_confidence_difference,
        )
        manifest = _write_manifest(folder, frozen, config, artefacts, compared)
        _prove_servable(folder, manifest)
    return manifest


@contextmanager
def replacing_bundle(bundle: Path) -> Iterator[Path]:
    """Give an empty folder to fill; rename it to `bundle` when the block ends well, delete it otherwise.

    A bundle already there is moved aside for the moment between two renames, and deleted after them.

    Raises:
        ConfigError: `bundle` cannot be written, or is a folder with something else in it.
    """
    bundle = bundle.resolve()
    _refuse_foreign(bundle)
    parent = writable_folder(bundle.parent)
    workplace = Path(tempfile.mkdtemp(prefix=f".{bundle.name}-", dir=parent))
    new, old = workplace / "new", workplace / "old"
    try:
        new.mkdir()
        yield new
        # Again, because someone may have put something there meanwhile.
        _refuse_foreign(bundle)
        if bundle.exists():
            bundle.rename(old)
        try:
            new.rename(bundle)
        except OSError:
            if old.exists():
                old.rename(bundle)
            raise
    finally:
        shutil.rmtree(workplace)


def _refuse_foreign(bundle: Path) -> None:
    """Only a bundle may be replaced: a mistyped path must not cost anyone a folder."""
    if not bundle.exists():
        return
    if not bundle.is_dir():
        raise ConfigError(f"export.bundle={bundle} is a file; choose a folder")
    entries = list(bundle.iterdir())
    if entries and (not (bundle / MANIFEST_NAME).is_file() or any(entry.is_dir() for entry in entries)):
        raise ConfigError(
            f"export.bundle={bundle} holds {entries[0].name!r} and is not a bundle, so it is not replaced; choose "
            "another folder, or empty this one"
        )


def _make_artefacts(frozen: Frozen, config: ExportConfig, folder: Path) -> list[Made]:
    facts = artefact_facts(frozen, config.checkpoint)
    made = []
    # ONNX first whatever the config's order is: TensorRT reads it.
    for name in sorted(config.artefacts, key=list(FILES).index):
        path, engine = folder / FILES[name], None
        say(f"making {path.name}")
        match name:
            case "onnx":
                onnx_from_torch(frozen.network, path, facts)
            case "torchscript":
                torchscript_from_torch(frozen.network, path, facts)
            case "tensorrt":
                engine = tensorrt_from_onnx(folder / FILES["onnx"], path, config.tensorrt)
            case _:
                assert_never(name)
        made.append(Made(name, path, engine))
    return made


def _open(made: Made, frame_hw: tuple[int, int]) -> Backend:
    match made.format:
        case "onnx":
            return open_backend(CpuConfig(), made.path, frame_height=frame_hw[0], frame_width=frame_hw[1])
        case "torchscript":
            return TorchBackend(load_torchscript(made.path))
        case "tensorrt":
            return TensorRtBackend(made.path, frame_hw)
        case _:
            assert_never(made.format)


def _describe(made: Made, compared: Compared) -> Artefact:
    return Artefact(
        **_entry(made.path).model_dump(),
        format=made.format,
        precision="fp32",
        parity=compared.parities.get(made.path.name),
        not_run=made.not_run,
        engine=made.engine,
    )


def _write_manifest(
    folder: Path, frozen: Frozen, config: ExportConfig, artefacts: Sequence[Artefact], compared: Compared
) -> Manifest:
    """Write the golden frames, then, last, the manifest."""
    space = frozen.spec.space
    manifest = Manifest(
        frame_height=frozen.network.frame_hw[0],
        frame_width=frozen.network.frame_hw[1],
        network_height=frozen.network.network_hw[0],
        network_width=frozen.network.network_hw[1],
        input=frozen.spec.model.convention,
        classes=tuple(
            ClassInfo(name=name, colour=colour) for name, colour in zip(space.names, space.palette, strict=True)
        ),
        artefacts=tuple(artefacts),
        golden=Golden(
            frames=_write_array(folder / GOLDEN_FRAMES, compared.golden_frames),
            labels=_write_array(folder / GOLDEN_LABELS, compared.golden_labels),
            num_frames=len(compared.golden_frames),
        ),
        provenance=provenance(frozen, config),
        created_unix_s=int(time.time()),
    )
    write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json"))
    return manifest


def _prove_servable(folder: Path, manifest: Manifest) -> None:
    """Open the bundle as a vehicle will, hashes and golden frames included."""
    if all(artefact.format != "onnx" for artefact in manifest.artefacts):
        say("without ONNX among the artefacts, this project's runtime will not serve the bundle")
        return
    try:
        Segmenter.open(folder).close()
    except (BundleError, BackendError) as error:
        raise GateError(f"the runtime refuses the new bundle, so it was not written: {error}") from error


def _write_array(path: Path, array: NDArray[np.uint8]) -> BundleFile:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
    return _entry(path)


def _entry(path: Path) -> BundleFile:
    return BundleFile(file=path.name, sha256=sha256_of(path), num_bytes=path.stat().st_size)
