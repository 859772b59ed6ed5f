"""From a config to a bundle: everything is made and proven in a folder beside, which is renamed when complete."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.bundle_folder import replacing_bundle
from export.config import ExportConfig
from export.forms import FORMS
from export.frame_sets import int8_identities, open_frame_sets
from export.frozen import freeze
from export.gates.comparison import Reference, run_reference
from export.gates.labelled import open_judged_frames
from export.gates.preprocessing import convention_problem
from export.gates.record import record_gates
from export.gates.table import gate_table
from export.gates.verdict import judge
from export.make import make_artefacts
from export.provenance import provenance
from export.reference_statistics import reference_statistics
from export.signing import sign
from runtime.backends.config import BackendConfig, CpuConfig, OpenVinoConfig
from runtime.bundle.manifest import MANIFEST_NAME, Artefact, BundleFile, Golden, Manifest
from runtime.bundle.serving import why_not_served
from runtime.command import say
from runtime.drift.reference import Reference as DomainReference
from runtime.errors import BackendError, BundleError, GateError
from runtime.files import replacing, sha256_of, write_json
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from training.config import TrainingConfig

__all__ = ["export_bundle", "gates_folder"]

GOLDEN_FRAMES, GOLDEN_LABELS = "golden_frames.npy", "golden_labels.npy"


def gates_folder(bundle: Path) -> Path:
    """Where the gate's table and pictures are, beside the bundle."""
    return bundle.with_name(f"{bundle.name}-gates")


def export_bundle(
    config: ExportConfig, *, training: TrainingConfig | None = None, private_key: Path | None = None
) -> Manifest:
    """Freeze the checkpoint, make each artefact, hold it against its budget, and write the bundle of those that pass.

    Args:
        config: what to make, and what it may lose.
        training: how the network learns to live with integers, where `config.int8.aware` wants that.
        private_key: signs the manifest.

    Returns:
        The manifest; an artefact of the config that is not in it did not pass.

    Raises:
        ConfigError: the bundle's folder cannot be written or holds something else.
        CheckpointError: the network file cannot be used.
        DataError: the target frames cannot be read, differ in size or are too few.
        BackendError: an exporter or engine is missing or failed.
        GateError: no artefact passed. Whatever is raised, a bundle that was there before still is.
    """
    with replacing_bundle(config.bundle) as folder:
        sets = open_frame_sets(config)
        frozen = freeze(config, sets.gate.frame_hw)
        seen = int8_identities(config, sets)
        test = open_judged_frames(config, frozen.spec.label_space, sets.gate.frame_hw, seen=seen)
        workshop = folder.with_name("made")
        workshop.mkdir()
        made = make_artefacts(frozen, sets, config, training, workshop)
        reference = run_reference(frozen, sets.gate, test, num_golden_frames=config.num_golden_frames)
        _require_convention(reference)
        asked = [made[name] for name in FORMS if name in config.artefacts]
        verdicts = [
            judge(reference, one.path, one.form, config.budgets, quantization=one.quantization, engine=one.engine)
            for one in asked
        ]
        gates = gates_folder(config.bundle)
        record_gates(gates, verdicts, frozen.spec.label_space.classes, {one.name: one.sensitivity for one in asked})
        kept = [verdict.artefact for verdict in verdicts if not verdict.problems]
        if not kept:
            raise GateError(
                f"no artefact passed, so no bundle was written\n{gate_table(verdicts)}\nTables and pictures: {gates}; "
                "use other versions of torch and onnxruntime, or, where a difference is harmless, change export.budgets"
            )
        for artefact in kept:
            (workshop / artefact.file).rename(folder / artefact.file)
        manifest = _write_manifest(folder, reference, reference_statistics(frozen, sets.reference), config, kept)
        if private_key is not None:
            sign(folder, private_key)
        _prove_servable(folder, kept)
    say(gate_table(verdicts))
    say(f"tables and pictures of the gate: {gates}")
    return manifest


def _require_convention(reference: Reference) -> None:
    spec = reference.frozen.spec
    problem = convention_problem(reference.inner[0][0], spec.model.convention, spec)
    if problem is not None:
        raise GateError(f"{problem}; no bundle was written")


def _write_manifest(
    folder: Path, reference: Reference, domain: DomainReference, config: ExportConfig, artefacts: Sequence[Artefact]
) -> Manifest:
    """Write the golden frames, then, last, the manifest."""
    frozen = reference.frozen
    manifest = Manifest(
        frame_height=frozen.network.frame_hw[0],
        frame_width=frozen.network.frame_hw[1],
        network_height=frozen.network.network_hw[0],
        network_width=frozen.network.network_hw[1],
        align_corners=frozen.network.network.align_corners,
        input=frozen.spec.model.convention,
        classes=frozen.spec.label_space.classes,
        artefacts=tuple(artefacts),
        golden=Golden(
            frames=_write_array(folder / GOLDEN_FRAMES, reference.golden_frames),
            labels=_write_array(folder / GOLDEN_LABELS, reference.golden_labels),
            num_frames=len(reference.golden_frames),
        ),
        reference=domain,
        provenance=provenance(frozen, config),
    )
    write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json"))
    return manifest


def _prove_servable(folder: Path, artefacts: Sequence[Artefact]) -> None:
    """Open each artefact as a vehicle will, hashes and golden frames included, in the engine that compared it."""
    served = [(artefact.file, backend) for artefact in artefacts if (backend := _backend_of(artefact)) is not None]
    if not served:
        say("without ONNX among the artefacts, this project's runtime will not serve the bundle")
    for file, backend in served:
        try:
            Segmenter.open(folder, RuntimeConfig(artefact=file, backend=backend)).close()
        except (BundleError, BackendError) as error:
            raise GateError(f"the runtime refuses the new bundle, so it was not written: {error}") from error


def _backend_of(artefact: Artefact) -> BackendConfig | None:
    compared_in = {parity.engine for parity in artefact.parity}
    ways: Mapping[str, BackendConfig] = {
        "onnxruntime": CpuConfig(),
        "openvino": OpenVinoConfig(precision="bf16" if artefact.precision == "bf16" else "fp32"),
    }
    found = (way for engine, way in ways.items() if engine in compared_in and why_not_served(artefact, way) is None)
    return next(found, None)


def _write_array(path: Path, array: NDArray[np.uint8]) -> BundleFile:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
    return BundleFile(file=path.name, sha256=sha256_of(path), num_bytes=path.stat().st_size)
