"""Methods whose parts were made for DeepLabV2, on the transformer of `configs/segformer_streets.yaml`, untrained.

Without batch norm in its encoder, with dropout, sizes in multiples of 32, and features of the decoder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import TypeAdapter
from torch.utils.data import Dataset

from training.checkpoint import NetworkSpec
from training.config import OptimizerConfig
from training.device import Compute
from training.methods.choice import MethodConfig, build_method
from training.methods.method import Setting
from training.networks.config import SmpConfig
from training.trainer import Run, train
from training.views.batch import SourceBatch, TargetBatch

pytest.importorskip("segmentation_models_pytorch", reason="the transformer is segmentation-models-pytorch's")

CONFIG = Path(__file__).parents[3] / "configs" / "segformer_streets.yaml"
HW = (64, 96)
STEPS = 3
CONTRAST = {"warmup": 0.0, "least_probability": 0.0}
NUM_CLASSES = 11
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
# Settings with which every term counts from the first step, also for a network that is sure of nothing.
METHODS: dict[str, dict[str, Any]] = {
    "self_training": {"threshold": 0.0},
    "daformer": {"threshold": 0.0},
    "pgpc": {"threshold": 0.0, "contrast": CONTRAST},
    "pgpc_source_free": {"threshold": 0.0, "contrast": CONTRAST},
    "prn": {"refined_after": 0.3, "trusted": 0.0, "threshold": 0.0},
    "prn_source_free": {"refined_after": 0.3, "trusted": 0.0, "threshold": 0.0},
}


@dataclass
class Crops(Dataset[TargetBatch]):
    """Noise, a pure function of the step."""

    has_source: bool

    def __getitem__(self, step: int) -> TargetBatch:
        rng = torch.Generator().manual_seed(step)
        weak, student, images = (torch.randint(0, 256, (2, *HW, 3), dtype=torch.uint8, generator=rng) for _ in "wsi")
        names, labels = [f"a{step}", f"b{step}"], torch.randint(0, NUM_CLASSES, (2, *HW), generator=rng)
        source = SourceBatch(names, images, labels) if self.has_source else None
        return TargetBatch(names, None, weak, student, torch.zeros_like(labels), None, source=source)


@pytest.fixture(scope="module")
def spec() -> NetworkSpec:
    model = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["training"]["model"]
    return NetworkSpec(model=SmpConfig.model_validate({**model, "network_hw": HW}), label_space="camvid11")


@pytest.mark.parametrize("name", METHODS)
def test_method_trains_encoder_and_decoder_and_its_heads(
    spec: NetworkSpec, compute: Compute, tmp_path: Path, name: str
) -> None:
    torch.manual_seed(0)
    prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
    setting = Setting(spec.build(), spec.frame_input(), prior, compute, iterations=STEPS)
    config = ADAPTER.validate_python({"name": name, **METHODS[name]})
    method = build_method(config, setting)
    before = {key: tensor.clone() for key, tensor in [*method.student.named_parameters()]}
    heads = {key: tensor.clone() for key, tensor in method.heads.named_parameters()}
    rates = OptimizerConfig(name="adamw", learning_rate=1e-3, warmup=0, horizon=100)
    crops = Crops(config.needs.source)
    run = Run(tmp_path, "mark", crops, STEPS, 2, 0, STEPS, rates, compute, 0, "test")
    # Refuses a term or gradient that is not finite.
    train(method, run, compute.move)
    moved = {key for key, tensor in method.student.named_parameters() if not torch.equal(tensor, before[key])}
    for part in ("inner.encoder", "inner.decoder", "inner.segmentation_head"):
        assert any(key.startswith(part) for key in moved)
    assert [key for key, tensor in method.heads.named_parameters() if torch.equal(tensor, heads[key])] == []
