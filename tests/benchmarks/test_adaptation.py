"""`adapt`: the plain step really is the same step, and what is measured is written down."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.adaptation.config import AdaptationBenchmarkConfig
from benchmarks.adaptation.document import AdaptationDocument, MeasuredStep
from benchmarks.adaptation.measure import require_same_losses
from benchmarks.adaptation.plain import PlainStep
from benchmarks.adaptation.views import StepViews, draw_views
from runtime.errors import GateError
from training.checkpoint import NetworkSpec
from training.device import Compute
from training.labels.importance import frame_importance
from training.methods.iapc import Iapc, IapcConfig
from training.methods.method import Setting
from training.networks.config import DeepLabV2Config
from training.networks.network import SegmentationNetwork
from training.statistics.batch_norm import estimate_statistics, load_statistics
from training.views.batch import TargetBatch

HW = (32, 64)
SMALL = AdaptationBenchmarkConfig(
    backbone="resnet18", crop_hw=HW, batch_size=2, num_steps=3, warmup=1, num_loaded=12, loaded_hw=(64, 128)
)


@pytest.fixture(scope="module")
def views() -> StepViews:
    return draw_views(SMALL)


@pytest.fixture(scope="module")
def spec() -> NetworkSpec:
    model = DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=HW)
    return NetworkSpec(model=model, label_space="cityscapes19")


def make_network(spec: NetworkSpec, views: StepViews) -> SegmentationNetwork:
    """Random weights strong enough that terms differ from those of a uniform prediction."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = spec.build()
        for name, parameter in network.named_parameters():
            if name.startswith("classifier") and name.endswith("weight"):
                torch.nn.init.normal_(parameter, std=0.05)
    frame_input = spec.frame_input()
    load_statistics(network, estimate_statistics(network, network, [frame_input(views.source)]))
    return network


def iapc_terms(config: IapcConfig, spec: NetworkSpec, views: StepViews) -> dict[str, float]:
    network = make_network(spec, views)
    importance = frame_importance(network.eval(), spec, views.source, config.importance)
    compute = Compute(torch.device("cpu"), "fp32")
    prior = torch.full((19,), 1 / 19)
    method = Iapc(config, Setting(network, spec.frame_input(), prior, compute, iterations=10))
    _, memory, student, _, labels = views.of_step(0)
    batch = TargetBatch(["a", "b"], memory, None, student, labels, importance[views.places(0)])
    return {name: float(term.detach()) for name, term in method.losses(batch).items()}


def plain_terms(config: IapcConfig, spec: NetworkSpec, views: StepViews) -> dict[str, float]:
    step = PlainStep(make_network(spec, views), spec.frame_input(), config, num_classes=19)
    return step.step(*views.of_step(0))


def test_plain_step_and_ours_have_the_same_losses(spec: NetworkSpec, views: StepViews) -> None:
    """Up to the importance's eight bits and the 1e-5 in the plain step's logarithm."""
    config = SMALL.method
    expected, found = plain_terms(config, spec, views), iapc_terms(config, spec, views)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("change", [{"rare_boost": 1.0}, {"importance": "none"}, {"information": 0.3}])
def test_plain_step_tells_another_loss_from_ours(
    spec: NetworkSpec, views: StepViews, change: dict[str, float | str]
) -> None:
    expected = plain_terms(SMALL.method, spec, views)
    found = iapc_terms(IapcConfig.model_validate({**SMALL.method.model_dump(), **change}), spec, views)
    assert any(abs(found[name] - value) > 0.05 * abs(value) for name, value in expected.items())


def test_plain_step_learns_and_moves_its_memory(spec: NetworkSpec, views: StepViews) -> None:
    step = PlainStep(make_network(spec, views), spec.frame_input(), SMALL.method, num_classes=19)
    before = {name: tensor.clone() for name, tensor in step.student.state_dict().items()}
    step.step(*views.of_step(0))
    after = step.student.state_dict()
    assert not torch.equal(before["stem.0.weight"], after["stem.0.weight"])
    assert torch.equal(before["stem.1.weight"], after["stem.1.weight"])
    assert int(after["stem.1.num_batches_tracked"] - before["stem.1.num_batches_tracked"]) == 2
    step.step(*views.of_step(1))
    assert not torch.equal(step.memory.state_dict()["stem.0.weight"], step.source.state_dict()["stem.0.weight"])


def test_faster_step_with_other_losses_has_no_score() -> None:
    found = MeasuredStep(
        name="iapc",
        precision="fp32",
        seconds=(1.0,),
        images_per_s=1.0,
        peak_bytes=1,
        resident_before_bytes=1,
        parts_s={},
        loss_difference=0.5,
    )
    with pytest.raises(GateError, match=r"other losses than the plain step: a term differs by 50.00%"):
        require_same_losses(found)
    require_same_losses(found.model_copy(update={"loss_difference": 0.001}))


def test_command_needs_no_run_file_and_writes_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = SMALL.model_dump(mode="json", exclude={"method"})
    overrides = [f"--set=adaptation.{key}={json.dumps(value)}" for key, value in small.items() if value is not None]
    assert main(["adapt", f"--set=output={tmp_path}", "--set=adaptation.threads=1", *overrides]) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out.splitlines()[-1])
    document = AdaptationDocument.model_validate_json((tmp_path / "adaptation.json").read_text())
    assert figures["speedup_vs_plain"] == document.speedup_vs_plain
    assert figures["memory_vs_plain"].keys() == {"fp32", "bf16"}
    assert [(found.name, found.precision) for found in document.contenders] == [
        *(("plain", "fp32"), ("iapc", "fp32"), ("iapc", "bf16"))
    ]
    plain, ours, _ = document.contenders
    assert all(len(found.seconds) == 3 and min(found.seconds) > 0 for found in document.contenders)
    assert {"source forward", "clean forward", "student forward", "backward"} <= plain.parts_s.keys()
    assert "clean forward" not in ours.parts_s
    assert [rate.workers for rate in document.loading][:2] == [0, 1]
    assert all(rate.images_per_s > 0 for rate in document.loading)
    assert "x the images/s of the plain step" in captured.err
