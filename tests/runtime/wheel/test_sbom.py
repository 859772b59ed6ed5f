"""The bills of materials that `make sbom` writes name what is installed; the vehicle's has nothing of training."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
ROOT = Path(__file__).parents[3]
TOOL = shutil.which("cyclonedx-py", path=str(ROOT / "build/tools/bin")) or shutil.which("cyclonedx-py")
NEEDED = {"iapc", "numpy", "onnxruntime", "pillow", "pydantic", "pyyaml", "tqdm"}

pytestmark = pytest.mark.skipif(TOOL is None, reason="cyclonedx-py is not installed; `make sbom` installs it")


def options() -> list[str]:
    """Those of `make sbom`, so that what is checked here is what it writes."""
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("SBOM :=")]
    return line.partition("cyclonedx-py ")[2].split()


@pytest.fixture
def bill_of(run: Run, tmp_path: Path) -> Callable[[Path], dict[str, Any]]:
    """The bill of materials of an environment, by its Python; the tool checks it against CycloneDX's schema."""

    def make(python: Path) -> dict[str, Any]:
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        run(TOOL, *options(), "--output-file", "bill.json", python, cwd=tmp_path)
        return dict(json.loads((tmp_path / "bill.json").read_text()))

    return make


def names_of(bill: dict[str, Any]) -> set[str]:
    """What is installed, and the project itself."""
    components = [*bill["components"], bill["metadata"]["component"]]
    return {component["name"].lower() for component in components}


def require_sound(bill: dict[str, Any]) -> None:
    assert bill["bomFormat"] == "CycloneDX"
    assert all(component["version"] for component in bill["components"])
    known = {component["bom-ref"] for component in [*bill["components"], bill["metadata"]["component"]]}
    assert {entry["ref"] for entry in bill["dependencies"]} == known
    assert all(set(entry.get("dependsOn", [])) <= known for entry in bill["dependencies"])


@pytest.mark.index
def test_vehicle_has_what_it_needs_and_nothing_of_training(vehicle: Path, bill_of: Any) -> None:
    bill = bill_of(vehicle / "python")
    require_sound(bill)
    assert names_of(bill) >= NEEDED
    assert not names_of(bill) & {"torch", "torchvision", "onnx", "safetensors", "pytest"}


def test_training_names_torch_and_what_exports(bill_of: Any) -> None:
    bill = bill_of(Path(sys.executable))
    require_sound(bill)
    assert names_of(bill) >= {"iapc", "torch", "torchvision", "onnx", "safetensors", "cryptography", "numpy"}
