"""Every method with a memory of its own learns over a few steps, and resumes with the same bits, heads included."""

import copy
import json
from dataclasses import replace
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
from training.methods.method import Method, Setting
from training.networks.deeplab_v2 import DeepLabV2
from training.trainer import Run, train
from training.views.batch import TargetBatch

NUM_CLASSES, STEPS = 11, 4
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
METHODS: dict[str, dict[str, Any]] = {
    "dtac": {},
    "hcl": {"refresh": 0.5, "cells": 8, "ema_momentum": 0.9},
    "label_denoising": {"mixed_share": 0.34},
    "sfda": {},
    "uncertainty_reduction": {},
}


class SameCrops(Dataset[TargetBatch]):
    """The same crops in every step, of which a network can learn the labels; can fail at a step."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at

    def __getitem__(self, step: int) -> TargetBatch:
        if step == self.fails_at:
            raise RuntimeError("killed")
        rng = torch.Generator().manual_seed(0)
        weak = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng)
        labels = torch.zeros(2, 32, 48, dtype=torch.int64)
        labels[:, :, 24:] = 1
        return TargetBatch(["a", "b"], memory=None, weak=weak, student=weak, pseudo_labels=labels, importance=None)


def run_in(folder: Path, compute: Compute) -> Run[TargetBatch]:
    folder.mkdir(exist_ok=True)
    return Run(
        folder=folder,
        fingerprint="abc",
        batches=SameCrops(),
        iterations=STEPS,
        batch_size=2,
        workers=0,
        checkpoint_every=1,
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup=0, horizon=100),
        compute=compute,
        seed=0,
        title="method",
    )


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_learns_and_resumes_with_the_same_bits(
    network: DeepLabV2, spec: NetworkSpec, compute: Compute, tmp_path: Path, name: str
) -> None:
    prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)

    def fit(run: Run[TargetBatch]) -> Method[TargetBatch]:
        torch.manual_seed(0)
        setting = Setting(copy.deepcopy(network), spec.frame_input(), prior, compute, iterations=STEPS)
        # A teacher that is sure of nothing teaches nothing.
        with torch.no_grad():
            for parameter in setting.network.get_submodule("classifier").parameters():
                parameter.mul_(10)
        method = build_method(ADAPTER.validate_python({"name": name, **METHODS[name]}), setting)
        train(method, run, lambda batch: batch)
        return method

    whole, cut = run_in(tmp_path / "whole", compute), run_in(tmp_path / "cut", compute)
    expected = fit(whole)
    with pytest.raises(RuntimeError, match="killed"):
        fit(replace(cut, batches=SameCrops(fails_at=3)))
    resumed = fit(cut)
    assert whole.state_path.read_bytes() == cut.state_path.read_bytes()
    for one, other in ((expected.student, resumed.student), (expected.heads, resumed.heads)):
        assert all(torch.equal(one.state_dict()[key], tensor) for key, tensor in other.state_dict().items())
    logged = [json.loads(line) for line in (whole.folder / "metrics.jsonl").read_text().splitlines()]
    learnt = [line["pseudo_label"] for line in logged if "pseudo_label" in line]
    assert learnt[-1] < learnt[0]
