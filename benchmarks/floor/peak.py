"""What the machine can do at most: a large matrix product in each precision, a large copy; measured, not looked up."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveFloat

from export.onnx_library import import_onnx
from runtime.backends.packages import import_onnxruntime
from runtime.bundle.manifest import Precision
from runtime.command import progress
from runtime.config import StrictModel

__all__ = ["Peak", "measure_peak"]

SIZE = 2048
COPY_BYTES = 1 << 28
LEAST_S = 0.5
LEAST_TURNS = 5


class Peak(StrictModel):
    """Best seen: operations a second by precision, and bytes a second that a copy reads and writes together."""

    operations_per_s: dict[Precision, PositiveFloat]
    bytes_per_s: PositiveFloat
    matrix_size: int = SIZE

    def best_of(self, other: "Peak") -> "Peak":
        """The better of two measurements in everything: a busy moment must not lower the roof."""
        operations = {name: max(found, other.operations_per_s[name]) for name, found in self.operations_per_s.items()}
        return Peak(operations_per_s=operations, bytes_per_s=max(self.bytes_per_s, other.bytes_per_s))


def measure_peak(threads: int) -> Peak:
    """Measure the CPU's peaks, each as the best turn of the best library: a floor must not be raised by a disturbance.

    fp32 is the product of torch or ONNX Runtime, whichever is faster; bf16 is torch's; INT8 is unsigned by signed, as
    `int8-cpu.onnx` multiplies, in ONNX Runtime. fp16 is left out: CPUs here compute it in float32.

    Args:
        threads: CPU threads, as the contenders have; the caller has set torch's.
    """
    products: dict[Precision, tuple[Callable[[], object], ...]] = {
        "fp32": (_torch_product(torch.float32), _onnx_product("MatMul", np.float32, np.float32, threads)),
        "bf16": (_torch_product(torch.bfloat16),),
        "int8": (_onnx_product("MatMulInteger", np.uint8, np.int8, threads),),
    }
    best_s = {
        name: min(min(_turns(product)) for product in several)
        for name, several in progress(list(products.items()), title="peak", unit="precision")
    }
    source, target = (torch.zeros(COPY_BYTES, dtype=torch.uint8) for _ in range(2))
    return Peak(
        operations_per_s={name: 2 * SIZE**3 / seconds for name, seconds in best_s.items()},
        bytes_per_s=2 * COPY_BYTES / min(_turns(lambda: target.copy_(source))),
    )


def _turns(work: Callable[[], object]) -> Iterator[float]:
    """Seconds of each turn, the first of which warms up and is not told."""
    work()
    started = time.perf_counter()
    turns = 0
    while turns < LEAST_TURNS or time.perf_counter() - started < LEAST_S:
        start = time.perf_counter()
        work()
        turns += 1
        yield time.perf_counter() - start


def _torch_product(dtype: torch.dtype) -> Callable[[], object]:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.rand((SIZE, SIZE), generator=generator).to(dtype) for _ in range(2))
    return lambda: left @ right


def _onnx_product(operator: str, left: type[np.generic], right: type[np.generic], threads: int) -> Callable[[], object]:
    """A graph of one product with constant weights, which the engine may pack once, as it does for a network."""
    onnx, onnxruntime = import_onnx(), import_onnxruntime()
    helper = onnx.helper
    rng = np.random.default_rng(0)
    kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in (left, np.int32 if left is np.uint8 else left)]
    ends = [helper.make_tensor_value_info(name, kind, [SIZE, SIZE]) for name, kind in zip("ly", kinds, strict=True)]
    weights = onnx.numpy_helper.from_array(_values(rng, right), "r")
    graph = helper.make_graph([helper.make_node(operator, ["l", "r"], ["y"])], "peak", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fed = {"l": _values(rng, left)}
    return lambda: session.run(None, fed)


def _values(rng: np.random.Generator, kind: type[np.generic]) -> NDArray[np.generic]:
    """Numbers below 7 bits: nothing saturates."""
    return rng.integers(0, 64, (SIZE, SIZE)).astype(kind)
