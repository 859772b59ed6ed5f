"""Runs of the methods that learn from a teacher and of source crops: they learn, and resumed end with the same bits."""

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch.utils.data import Dataset

from training.checkpoint import NetworkSpec
from training.config import OptimizerConfig
from training.device import Compute
from training.methods.choice import MethodConfig, build_method
from training.methods.method import Setting
from training.methods.self_training import SelfTraining
from training.networks.deeplab_v2 import DeepLabV2
from training.statistics.batch_norm import use_batch_statistics
from training.trainer import Run, train
from training.views.batch import SourceBatch, TargetBatch

NUM_CLASSES = 11
HW = (32, 48)
STEPS = 4
CONTRAST = {"warmup": 0.5, "sure_share": 0.5, "least_probability": 0.0, "queue": 64, "anchors": 8, "negatives": 16}
METHODS: dict[str, dict[str, Any]] = {
    "daformer": {"threshold": 0.2},
    "pgpc": {"threshold": 0.2, "contrast": CONTRAST},
    "pgpc_source_free": {"threshold": 0.2, "contrast": CONTRAST},
}
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)


@dataclass
class Crops(Dataset[TargetBatch]):
    """Two target crops of noise a step, and two of the source whose lower half is bright and of another class."""

    has_source: bool
    fails_at: int | None = None

    def __getitem__(self, step: int) -> TargetBatch:
        if step == self.fails_at:
            raise RuntimeError("killed")
        rng = torch.Generator().manual_seed(step)
        weak, student, source = (torch.randint(0, 128, (2, *HW, 3), dtype=torch.uint8, generator=rng) for _ in range(3))
        labels = torch.zeros(2, *HW, dtype=torch.int64)
        for crops in (weak, student, source):
            crops[:, 16:] += 128
        labels[:, 16:] = 1
        return TargetBatch(
            ["a", "b"],
            memory=None,
            weak=weak,
            student=student,
            pseudo_labels=torch.zeros(2, *HW, dtype=torch.int64),
            importance=None,
            source=SourceBatch(["c", "d"], source, labels) if self.has_source else None,
        )


@pytest.fixture
def setting(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> Setting:
    prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
    return Setting(copy.deepcopy(network), spec.frame_input(), prior, compute, iterations=STEPS)


def fit(name: str, setting: Setting, folder: Path, fails_at: int | None = None) -> SelfTraining:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    config = ADAPTER.validate_python({"name": name, **METHODS[name]})
    method = build_method(config, replace(setting, network=copy.deepcopy(setting.network)))
    assert isinstance(method, SelfTraining)
    # By its first statistics an untrained network gives every pixel one class.
    use_batch_statistics(method.teacher.network)
    run = Run(
        folder=folder,
        fingerprint="abc",
        batches=Crops(config.needs.source, fails_at),
        iterations=STEPS,
        batch_size=2,
        workers=0,
        checkpoint_every=1,
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup=0, horizon=100),
        compute=setting.compute,
        seed=0,
        title=name,
    )
    train(method, run, setting.compute.move)
    return method


def metrics_of(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(line.pop("images_per_s") > 0 for line in lines)
    return lines


@pytest.mark.parametrize("name", sorted(METHODS))
def test_run_learns_and_stopped_before_a_step_ends_with_the_same_bits(
    setting: Setting, tmp_path: Path, name: str
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    method = fit(name, setting, whole)
    # Where there is a contrast, it has begun by then, and queues and prototypes hold something.
    with pytest.raises(RuntimeError, match="killed"):
        fit(name, setting, cut, fails_at=STEPS - 1)
    resumed = fit(name, setting, cut)
    metrics = metrics_of(whole)
    assert metrics == metrics_of(cut)
    assert (whole / "state.safetensors").read_bytes() == (cut / "state.safetensors").read_bytes()
    for key, tensor in method.state().items():
        assert torch.equal(tensor, resumed.state()[key]), key
    assert [line.get("contrast", 0) > 0 for line in metrics] == [False, False, *[name.startswith("pgpc")] * 2]
    if name != "pgpc_source_free":
        assert metrics[-1]["source"] < 0.5 * metrics[0]["source"]
    start = setting.network.get_parameter("layer4.0.conv1.weight")
    assert not torch.equal(start, method.student.get_parameter("layer4.0.conv1.weight"))
    assert not torch.equal(start, method.state()["teacher/layer4.0.conv1.weight"])
