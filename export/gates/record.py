"""What the gate found, for people who ask why: tables, pictures and sensitivities in a folder beside the bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from export.forms import FORMS
from export.gates.picture import write_differences
from export.gates.table import gate_document, gate_markdown
from export.gates.verdict import Verdict
from export.quantization.sensitivity import LayerSensitivity, sensitivity_table
from runtime.files import writable_folder, write_json, write_text
from runtime.labels import ClassInfo

__all__ = ["record_gates"]


def record_gates(
    folder: Path,
    verdicts: Sequence[Verdict],
    classes: Sequence[ClassInfo],
    sensitivities: Mapping[str, Sequence[LayerSensitivity]],
) -> None:
    """Write `gates.md`, `gates.json`, a picture of the differing labels of each artefact, and its layers' sensitivity.

    Args:
        folder: ours by its name; what an earlier export left there is replaced.
        verdicts: of all artefacts.
        classes: the manifest's.
        sensitivities: of the layers of INT8 artefacts, by file; left out where they were not measured.

    Raises:
        ConfigError: the folder cannot be written.
    """
    writable_folder(folder)
    for name in FORMS:
        (folder / f"{name}.png").unlink(missing_ok=True)
        (folder / f"{name}-layers.md").unlink(missing_ok=True)
    write_text(folder / "gates.md", gate_markdown(verdicts))
    write_json(folder / "gates.json", gate_document(verdicts))
    for verdict in verdicts:
        write_differences(folder / f"{verdict.artefact.file}.png", verdict, classes)
    for file, layers in sensitivities.items():
        if layers:
            write_text(folder / f"{file}-layers.md", sensitivity_table(layers))
