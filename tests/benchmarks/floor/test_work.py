import pytest
import torch
from torch import Tensor, nn

from benchmarks.floor.floor import floor_of
from benchmarks.floor.peak import Peak, measure_peak
from benchmarks.floor.work import Work, count_work
from runtime.bundle.manifest import InputConvention
from training.frame_network import FrameNetwork
from training.networks.network import NetworkOutput, SegmentationNetwork


class OneConvolution(SegmentationNetwork):
    """A single 3x3 convolution of stride 2 without bias: all its work can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False)

    def forward(self, image: Tensor) -> NetworkOutput:
        logits = self.convolution(image)
        return NetworkOutput(logits, logits)


@pytest.fixture
def graph() -> FrameNetwork:
    convention = InputConvention(channel_order="rgb", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return FrameNetwork(OneConvolution(), convention, network_hw=(8, 12), frame_hw=(8, 12))


def test_work_of_one_convolution_is_that_counted_by_hand(graph: FrameNetwork) -> None:
    work = count_work(graph)
    cells = 4 * 6
    assert work.operations == 2 * cells * 5 * 3 * 9
    assert work.num_weights == 5 * 3 * 9
    assert work.num_edge_bytes == 8 * 12 * 3 + 2 * 8 * 12


def test_counting_leaves_the_network_where_it_was(graph: FrameNetwork) -> None:
    before = graph(torch.zeros((1, 8, 12, 3), dtype=torch.uint8))
    count_work(graph)
    after = graph(torch.zeros((1, 8, 12, 3), dtype=torch.uint8))
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_bytes_follow_the_precision() -> None:
    work = Work(operations=1, num_weights=10, num_edge_bytes=7)
    assert [work.compulsory_bytes(precision) for precision in ("fp32", "fp16", "int8")] == [47, 27, 17]


def test_floor_is_the_slower_of_computing_and_reading() -> None:
    work = Work(operations=3_000_000, num_weights=1_000, num_edge_bytes=0)
    peak = Peak(operations_per_s={"fp32": 1e9, "int8": 1e12}, bytes_per_s=1e6)
    fp32, int8 = floor_of(work, peak, "fp32"), floor_of(work, peak, "int8")
    assert fp32 is not None
    assert int8 is not None
    assert (fp32.compute_ms, fp32.memory_ms, fp32.ms) == pytest.approx((3.0, 4.0, 4.0))
    assert (int8.compute_ms, int8.memory_ms, int8.ms) == pytest.approx((0.003, 1.0, 1.0))


def test_there_is_no_floor_where_no_peak_was_measured() -> None:
    work = Work(operations=1, num_weights=1, num_edge_bytes=0)
    assert floor_of(work, Peak(operations_per_s={"fp32": 1.0}, bytes_per_s=1.0), "fp16") is None


def test_the_better_of_two_peaks_is_better_in_everything() -> None:
    one = Peak(operations_per_s={"fp32": 1.0, "int8": 4.0}, bytes_per_s=9.0)
    other = Peak(operations_per_s={"fp32": 2.0, "int8": 3.0}, bytes_per_s=8.0)
    assert one.best_of(other) == Peak(operations_per_s={"fp32": 2.0, "int8": 4.0}, bytes_per_s=9.0)


def test_peaks_of_this_machine_are_there_for_every_precision_of_its_engines() -> None:
    peak = measure_peak(1)
    assert set(peak.operations_per_s) == {"fp32", "bf16", "int8"}
    # A billion operations and bytes a second: slower than any machine that this runs on, and far above a broken count.
    assert all(1e9 < found < 1e15 for found in (*peak.operations_per_s.values(), peak.bytes_per_s))
