from collections.abc import Callable
from pathlib import Path

import torch

from export.bundle import export_bundle
from export.config import ExportConfig
from runtime.bundle.opening import read_manifest

ROOT = Path(__file__).parents[2]
MakeConfig = Callable[..., ExportConfig]


def test_same_inputs_give_the_same_bytes_wherever_they_go(make_config: MakeConfig, tmp_path: Path) -> None:
    checkpoint = make_config().checkpoint
    contents = []
    for place in (tmp_path / "one", tmp_path / "a" / "deeper" / "place"):
        config = make_config(checkpoint=checkpoint, bundle=place, artefacts=["fp32.onnx", "fp32.torchscript"])
        export_bundle(config)
        contents.append({path.name: path.read_bytes() for path in place.iterdir()})
    first, second = contents
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    for place in (tmp_path, ROOT, Path(torch.__path__[0])):
        assert [name for name, content in first.items() if str(place).encode() in content] == []


def test_provenance_holds_the_config_but_for_the_places_written_to(exported: ExportConfig) -> None:
    told = read_manifest(exported.bundle).provenance["export"]
    assert "bundle" not in told
    assert "cache" not in told["tensorrt"]
    assert ExportConfig.model_validate({**told, "bundle": exported.bundle}) == exported
