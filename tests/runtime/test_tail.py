import ctypes
import logging
import shutil
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import runtime.tail
from runtime.errors import BackendError
from runtime.tail import Tail, compiled

Logits = NDArray[np.float32]
C_FILE = Path(runtime.tail.__file__).with_name("tail.c")
SIZES = [
    ((1, 1), (5, 40)),
    ((2, 3), (2, 3)),
    ((3, 5), (33, 70)),
    ((5, 4), (7, 9)),
    ((9, 17), (64, 129)),
    ((8, 6), (5, 6)),
]


@pytest.fixture(params=["compiled", "numpy"])
def is_compiled(request: pytest.FixtureRequest) -> bool:
    """Both versions in turn."""
    wants_compiled: bool = request.param == "compiled"
    if wants_compiled and compiled.compiled_library() is None:
        pytest.skip("the compiled tail was not built: run `python setup.py build_ext --inplace`")
    return wants_compiled


@pytest.fixture(params=[True, False], ids=["align_corners", "half_pixel"])
def align_corners(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def versions() -> list[bool]:
    return [False] if compiled.compiled_library() is None else [False, True]


def tail_of(logits: Logits, frame_hw: tuple[int, int], **options: Any) -> Tail:
    return Tail((logits.shape[1], logits.shape[2]), frame_hw, len(logits), **options)


def smooth_logits(num_classes: int, height: int, width: int, *, noise: float, seed: int = 0) -> Logits:
    """Regions of one class with wavy borders, as networks give them."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(0, 4, (1, num_classes, height // 5 + 2, width // 5 + 2)).astype(np.float32))
    regions = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)[0].numpy()
    logits: Logits = (regions + rng.normal(0, noise, regions.shape)).astype(np.float32)
    return logits


def position(num_logits: int, num_pixels: int, align_corners: bool) -> NDArray[np.float32]:
    """Where pixel i lies among the logits, as PyTorch documents it."""
    pixels = np.arange(num_pixels, dtype=np.float32)
    if align_corners:
        return pixels * (np.float32(num_logits - 1) / np.float32(max(num_pixels - 1, 1)))
    half = np.float32(0.5)
    centres: NDArray[np.float32] = (pixels + half) * (np.float32(num_logits) / np.float32(num_pixels)) - half
    return centres.clip(0)


def interpolated(logits: Logits, frame_hw: tuple[int, int], align_corners: bool, dtype: Any) -> NDArray[Any]:
    """Every class at every pixel, (C, H, W), computed in `dtype`."""
    values = logits.astype(dtype)
    for axis, num_pixels in ((2, frame_hw[1]), (1, frame_hw[0])):
        size = logits.shape[axis]
        where = position(size, num_pixels, align_corners)
        low = where.astype(int)
        far = (where - low.astype(np.float32)).astype(dtype)
        far = far if axis == 2 else far[:, None]
        high = np.minimum(low + 1, size - 1)
        values = (1 - far) * values.take(low, axis) + far * values.take(high, axis)
    return values


def assert_largest(labels: NDArray[np.uint8], logits: Logits, align_corners: bool) -> None:
    """Every label is the largest class, up to a few roundings of the values it was interpolated from."""
    values = interpolated(logits, (labels.shape[0], labels.shape[1]), align_corners, np.float64)
    chosen = np.take_along_axis(values, labels[None].astype(int), 0)[0]
    kind = np.finfo(np.float32)
    tolerance = 8 * (float(kind.eps) * float(np.abs(logits).max()) + float(kind.smallest_subnormal))
    assert (values.max(0) - chosen).max() <= tolerance
    second = np.partition(values, -2, axis=0)[-2] if len(values) > 1 else np.full(labels.shape, -np.inf)
    is_clear = values.max(0) - second > 2 * tolerance
    np.testing.assert_array_equal(labels[is_clear], values.argmax(0)[is_clear])


@st.composite
def any_logits(draw: st.DrawFn) -> Logits:
    """Small maps full of ties, equal corners, tiny differences and huge magnitudes."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits: NDArray[Any]
    match draw(st.sampled_from(["ties", "near ties", "constant", "huge", "tiny", "normal"])):
        case "ties":
            logits = rng.integers(-1, 2, shape)
        case "near ties":
            logits = 1 + rng.integers(-2, 3, shape) * 2.0**-23
        case "constant":
            logits = np.full(shape, rng.normal())
        case "huge":
            logits = rng.choice([-3e38, -1e30, 0, 1e30, 3e38], shape)
        case "tiny":
            logits = rng.choice([-1e-45, 0, 1e-45, 1e-38], shape)
        case _:
            logits = rng.normal(0, 3, shape)
    return logits.astype(np.float32)


FRAMES = st.tuples(st.integers(1, 70), st.integers(1, 70))


@given(logits=any_logits(), frame_hw=FRAMES, align=st.booleans())
def test_every_label_is_the_largest_interpolated_class(logits: Logits, frame_hw: tuple[int, int], align: bool) -> None:
    for is_compiled in versions():
        labels, _ = tail_of(logits, frame_hw, align_corners=align, is_compiled=is_compiled)(logits)
        assert_largest(labels, logits, align)


@pytest.mark.skipif(compiled.compiled_library() is None, reason="the compiled tail was not built")
@given(logits=any_logits(), frame_hw=FRAMES, align=st.booleans())
def test_both_versions_give_the_same_bytes(logits: Logits, frame_hw: tuple[int, int], align: bool) -> None:
    first = tail_of(logits, frame_hw, align_corners=align, is_compiled=True)(logits)
    second = tail_of(logits, frame_hw, align_corners=align, is_compiled=False)(logits)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4, 8]))
def test_of_equal_classes_the_lowest_id_wins(seed: int, factor: int) -> None:
    # Whole logits and weights of sixteenths: float32 has every value exactly, so ties are real ties.
    logits = np.random.default_rng(seed).integers(-2, 3, (5, 4, 3)).astype(np.float32)
    frame_hw = (4 * factor, 3 * factor)
    expected = interpolated(logits, frame_hw, False, np.float64).argmax(0)
    for is_compiled in versions():
        labels, _ = tail_of(logits, frame_hw, align_corners=False, is_compiled=is_compiled)(logits)
        np.testing.assert_array_equal(labels, expected)


def test_a_third_class_wins_between_two_others(is_compiled: bool) -> None:
    logits = np.zeros((3, 2, 2), np.float32)
    logits[0, :, 0], logits[2, :, 1] = 10, 10
    logits[1] = 6
    labels, _ = tail_of(logits, (2, 9), align_corners=True, is_compiled=is_compiled)(logits)
    # Class 0 falls from 10 to 0 in eight steps of 1.25, class 2 rises likewise: both are 5 in the middle.
    np.testing.assert_array_equal(labels, [[0, 0, 0, 0, 1, 2, 2, 2, 2]] * 2)


def test_a_class_that_wins_no_corner_may_win_the_middle(is_compiled: bool) -> None:
    logits = np.zeros((3, 2, 2), np.float32)
    logits[0, 0, 0] = logits[0, 1, 1] = 10
    logits[2, 0, 1] = logits[2, 1, 0] = 10
    logits[1] = 6
    labels, _ = tail_of(logits, (3, 3), align_corners=True, is_compiled=is_compiled)(logits)
    np.testing.assert_array_equal(labels, [[0, 1, 2], [1, 1, 1], [2, 1, 0]])


@pytest.mark.parametrize(("logits_hw", "frame_hw"), SIZES)
@pytest.mark.parametrize("noise", [0.2, 5.0])
def test_labels_and_confidence_are_those_of_torch(
    logits_hw: tuple[int, int], frame_hw: tuple[int, int], noise: float, align_corners: bool, is_compiled: bool
) -> None:
    logits = smooth_logits(19, *logits_hw, noise=noise)
    labels, confidence = tail_of(logits, frame_hw, align_corners=align_corners, is_compiled=is_compiled)(logits)
    batch = torch.from_numpy(logits)[None]
    upsampled = F.interpolate(batch, size=frame_hw, mode="bilinear", align_corners=align_corners)
    certainty = batch.softmax(1).amax(1, keepdim=True)
    certainty = F.interpolate(certainty, size=frame_hw, mode="bilinear", align_corners=align_corners)
    np.testing.assert_array_equal(labels, upsampled.argmax(1)[0].numpy())
    # Half a step of rounding, and what float32 adds to it.
    assert np.abs(confidence - certainty[0, 0].numpy() * 255).max() <= 0.5001


@pytest.mark.parametrize("num_classes", [1, 2, 255])
def test_any_number_of_classes_that_labels_can_hold(num_classes: int, is_compiled: bool) -> None:
    logits = smooth_logits(num_classes, 4, 5, noise=3)
    labels, _ = tail_of(logits, (37, 50), align_corners=False, is_compiled=is_compiled)(logits)
    full = interpolated(logits, (37, 50), False, np.float32)
    np.testing.assert_array_equal(labels, full.argmax(0))


def test_a_million_random_cells_differ_nowhere_from_a_full_interpolation(
    align_corners: bool, is_compiled: bool
) -> None:
    logits = np.random.default_rng(7).normal(0, 3, (3, 1001, 1001)).astype(np.float32)
    frame_hw = (1777, 2003)
    labels, _ = tail_of(logits, frame_hw, align_corners=align_corners, is_compiled=is_compiled)(logits)
    full = interpolated(logits, frame_hw, align_corners, np.float32).argmax(0)
    assert np.count_nonzero(labels != full) == 0


def test_logits_of_the_frame_size_are_not_interpolated(align_corners: bool, is_compiled: bool) -> None:
    logits = smooth_logits(5, 13, 40, noise=4)
    labels, confidence = tail_of(logits, (13, 40), align_corners=align_corners, is_compiled=is_compiled)(logits)
    np.testing.assert_array_equal(labels, logits.argmax(0))
    certainty = torch.from_numpy(logits).softmax(0).amax(0).numpy()
    assert np.abs(confidence - certainty * 255).max() <= 0.5001


def test_confidence_is_worked_by_hand(is_compiled: bool) -> None:
    logits = np.array([[[0.0, 100.0]], [[0.0, 0.0]]], np.float32)
    _, confidence = tail_of(logits, (1, 3), align_corners=True, is_compiled=is_compiled)(logits)
    # Probabilities 1/2 and 1, 3/4 between them; 127.5 is rounded to the even neighbour.
    np.testing.assert_array_equal(confidence, [[128, 191, 255]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused_and_leave_the_outputs(value: float, is_compiled: bool) -> None:
    logits = smooth_logits(4, 5, 6, noise=1)
    tail = tail_of(logits, (40, 48), align_corners=True, is_compiled=is_compiled)
    before = [output.copy() for output in tail(logits)]
    broken = logits.copy()
    broken[2, 3, 4] = value
    with pytest.raises(BackendError, match="1 of 120 logits are NaN or infinite"):
        tail(broken)
    for output, kept in zip(tail(logits), before, strict=True):
        np.testing.assert_array_equal(output, kept)


@pytest.mark.parametrize(
    ("given_logits", "message"),
    [
        ([[[1.0]]], "a list"),
        (np.zeros((3, 4, 5)), "float64"),
        (np.zeros((3, 5, 4), np.float32), r"\(3, 5, 4\)"),
        (np.zeros((1, 3, 4, 5), np.float32), r"\(1, 3, 4, 5\)"),
        (np.zeros((3, 5, 4), np.float32).transpose(0, 2, 1), "not contiguous"),
    ],
)
def test_other_logits_than_agreed_are_refused(given_logits: Any, message: str, is_compiled: bool) -> None:
    tail = Tail((4, 5), (16, 20), 3, align_corners=False, is_compiled=is_compiled)
    with pytest.raises(BackendError, match=message):
        tail(given_logits)


@pytest.mark.parametrize(
    "arguments", [((0, 4), (8, 8), 3), ((4, 4), (8, 0), 3), ((4, 4), (8, 8), 0), ((4, 4), (8, 8), 256)]
)
def test_sizes_out_of_range_are_refused(arguments: tuple[tuple[int, int], tuple[int, int], int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Tail(*arguments, align_corners=False)


def test_outputs_are_the_same_read_only_buffers_in_every_call(is_compiled: bool) -> None:
    logits = smooth_logits(4, 5, 6, noise=1)
    tail = tail_of(logits, (40, 48), align_corners=True, is_compiled=is_compiled)
    labels, confidence = tail(logits)
    first = labels.copy()
    again, confidence_again = tail(logits[::-1].copy())
    assert again is labels
    assert confidence_again is confidence
    np.testing.assert_array_equal(again, 3 - first)
    for output in (labels, confidence):
        with pytest.raises(ValueError, match="read-only"):
            output[0, 0] = 1


@pytest.mark.skipif(compiled.compiled_library() is None, reason="the compiled tail was not built")
def test_the_compiled_version_allocates_no_array_per_call() -> None:
    logits = smooth_logits(19, 33, 65, noise=1)
    tail = tail_of(logits, (256, 512), align_corners=True, is_compiled=True)
    tail(logits)
    tracemalloc.start()
    try:
        tail(logits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Interpreter objects and the buffer in which numpy broadcasts, but no map of logits or frame.
    assert peak < 19 * 33 * 65


def test_without_a_compiled_version_numpy_serves_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime.tail, "compiled_library", lambda: None)
    runtime.tail._log_numpy.cache_clear()
    with caplog.at_level(logging.WARNING):
        tails = [Tail((2, 2), (8, 8), 2, align_corners=True) for _ in range(2)]
    assert [tail.is_compiled for tail in tails] == [False, False]
    assert [record.message.split(":")[0] for record in caplog.records] == ["the compiled tail was not built"]


def test_asking_for_the_compiled_version_where_none_was_built_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.tail, "compiled_library", lambda: None)
    with pytest.raises(BackendError, match="install a C compiler"):
        Tail((2, 2), (8, 8), 2, align_corners=True, is_compiled=True)


def test_a_library_that_cannot_be_loaded_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_compiled.abi3.so").write_bytes(b"no library")
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    with pytest.raises(BackendError, match="cannot be loaded"):
        compiled.compiled_library.__wrapped__()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
class TestCFile:
    def test_compiles_without_a_warning(self) -> None:
        flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
        done = subprocess.run(["cc", *flags, "-fsyntax-only", C_FILE], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def test_a_library_of_another_interface_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = tmp_path / "other.c"
        source.write_text("int tail_interface(void) { return 1000; }")
        subprocess.run(["cc", "-shared", "-fPIC", source, "-o", tmp_path / "_compiled.abi3.so"], check=True)
        monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
        with pytest.raises(BackendError, match="interface 1000"):
            compiled.compiled_library.__wrapped__()

    def test_structures_have_the_size_that_python_thinks(self, tmp_path: Path) -> None:
        source = tmp_path / "sizes.c"
        source.write_text(f'#include "{C_FILE}"\nint sizes(int i) {{ return i ? sizeof(Axis) : sizeof(Plan); }}')
        library = tmp_path / "sizes.so"
        subprocess.run(["cc", "-shared", "-fPIC", source, "-o", library], check=True)
        sizes = ctypes.CDLL(str(library)).sizes
        assert (sizes(0), sizes(1)) == (ctypes.sizeof(compiled._Plan), ctypes.sizeof(compiled._Axis))
