"""The run files that come with the project, and those on its pages: sections are valid, stages agree on paths."""

import re
from pathlib import Path

import pytest
import yaml

from benchmarks.config import BenchmarksConfig, SectionConfig
from export.config import ExportConfig
from runtime.config import StrictModel, load_config
from runtime.settings import RuntimeConfig
from training.config import AdaptationConfig, GivenSource, TrainingConfig
from training.data.config import LabelledFolderConfig
from training.data.open import label_names
from training.methods.iapc import IapcConfig
from training.networks.config import DeepLabV2Config

CONFIGS = Path(__file__).parents[1] / "configs"
RUN_FILES = sorted(CONFIGS.glob("*_to_*.yaml"))
SECTIONS: dict[str, type[StrictModel]] = {
    "training": TrainingConfig,
    "export": ExportConfig,
    "runtime": RuntimeConfig,
    "benchmarks": SectionConfig,
}


def iapc_of(adaptation: AdaptationConfig) -> IapcConfig:
    assert isinstance(adaptation.method, IapcConfig)
    return adaptation.method


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_section_is_valid(path: Path) -> None:
    sections = yaml.safe_load(path.read_text())
    assert sections.keys() <= SECTIONS.keys()
    for name in sections:
        load_config(path, name, SECTIONS[name])


def examples(page: str) -> list[str]:
    """What a page has in YAML, in its order."""
    return re.findall(r"```yaml\n(.*?)```", (CONFIGS.parent / "docs" / page).read_text(), re.DOTALL)


@pytest.mark.parametrize(("page", "sections"), [("data.md", {"training", "export"}), ("deploy.md", {"runtime"})])
def test_run_file_on_a_page_is_valid(page: str, sections: set[str], tmp_path: Path) -> None:
    example = examples(page)[0]
    path = tmp_path / "run.yaml"
    path.write_text(example)
    assert yaml.safe_load(example).keys() == sections
    for name in sections:
        load_config(path, name, SECTIONS[name])


def test_own_classes_and_labels_on_the_page_fit_the_run_file_there(tmp_path: Path) -> None:
    document, classes, labels = (yaml.safe_load(example) for example in examples("data.md"))
    document["training"] |= classes
    document["training"]["target"] |= labels
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(document))
    training = load_config(tmp_path, "training", TrainingConfig)
    assert training.label_space.names[-2:] == ("vehicle", "kerb")
    assert isinstance(training.target.test, LabelledFolderConfig)
    names = label_names(training.target.test, training.label_space)
    assert names.keys() == {7, 8, 0}
    assert {name for name in names.values() if name} <= set(training.label_space.names)


@pytest.mark.parametrize("path", RUN_FILES, ids=lambda path: path.stem)
def test_stages_hand_over_to_each_other(path: Path) -> None:
    training = load_config(path, "training", TrainingConfig)
    export = load_config(path, "export", ExportConfig)
    benchmarks = load_config(path, "benchmarks", BenchmarksConfig)
    assert export.checkpoint == benchmarks.checkpoint == training.output / "adapted.safetensors"
    assert export.bundle == benchmarks.bundle
    assert benchmarks.training_output == training.output


@pytest.mark.parametrize(("name", "space"), [("gta5", "cityscapes19"), ("synthia", "synthia16")])
def test_benchmark_is_the_papers(name: str, space: str) -> None:
    path = next(path for path in RUN_FILES if path.stem == f"{name}_to_cityscapes")
    config = load_config(path, "training", TrainingConfig)
    assert config.label_space.name == space
    assert isinstance(config.model, DeepLabV2Config)
    assert (config.model.backbone, config.model.trunk, config.model.input) == ("resnet101", "caffe", "bgr_caffe")
    assert config.model.network_hw == (512, 1024)
    assert isinstance(config.source, GivenSource)
    assert (config.target.adapt.layout, getattr(config.target.adapt, "split", "")) == ("cityscapes", "train")
    assert (config.adaptation.preset, config.adaptation.iterations) == ("iapc_paper", 9000)
    assert iapc_of(config.adaptation).information == 0.5


def test_command_line_switches_the_preset_and_can_still_set_a_key() -> None:
    path = next(path for path in RUN_FILES if path.stem == "gta5_to_cityscapes")
    overrides = ["adaptation.preset=iapc_code", "adaptation.method.ema_momentum=0.99"]
    adaptation = load_config(path, "training", TrainingConfig, overrides).adaptation
    assert (iapc_of(adaptation).importance, iapc_of(adaptation).information) == ("logit_ratio", 2.0)
    assert (adaptation.optimizer.backbone_multiplier, iapc_of(adaptation).ema_momentum) == (3.0, 0.99)
