from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.config import ExportConfig
from export.frame_sets import frame_identity, int8_identities, open_frame_sets
from runtime.errors import DataError
from runtime.images import read_image, write_png
from training.data.config import FolderConfig

FRAME_HW = (64, 96)
MakeConfig = Callable[..., ExportConfig]
INT8 = {"num_choice_frames": 2, "num_calibration_frames": 2}


def streets(count: int) -> dict[str, object]:
    return {"layout": "streets", "domain": "target", "first": 0, "count": count, "height": 64, "width": 96}


def test_frames_are_spread_evenly_and_read_as_they_are(make_config: MakeConfig, frames_folder: Path) -> None:
    frames = open_frame_sets(make_config(checkpoint="a", num_gate_frames=2)).gate
    assert (frames.indices, frames.frame_hw, len(frames)) == ((0, 3), FRAME_HW, 2)
    first, last = frames
    assert first.shape == (1, 64, 96, 3)
    np.testing.assert_array_equal(first[0], read_image(frames_folder / "0.png"))
    np.testing.assert_array_equal(last[0], read_image(frames_folder / "3.png"))


def test_smaller_data_set_is_taken_whole_and_said_so(
    make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = open_frame_sets(make_config(checkpoint="a", num_gate_frames=9))
    assert sets.gate.indices == (0, 1, 2, 3)
    assert (len(sets.choice), len(sets.candidates)) == (0, 0)
    assert "only 4 of export.num_gate_frames=9 frames exist" in capsys.readouterr().err


def test_int8_gets_sets_without_a_common_frame(make_config: MakeConfig) -> None:
    config = make_config(
        checkpoint="a",
        frames=streets(40),
        num_gate_frames=5,
        artefacts=["fp32.onnx", "int8-gpu.onnx"],
        int8={"num_choice_frames": 4, "num_calibration_frames": 6},
    )
    sets = open_frame_sets(config)
    assert sets.gate.indices == (0, 9, 19, 29, 39)
    assert len(sets.choice) == 4
    # Four to choose each of the six from, spread over all 31 others.
    assert len(sets.candidates) == 24
    together = sets.gate.indices + sets.choice.indices + sets.candidates.indices
    assert len(set(together)) == 5 + 4 + 24
    assert sets.candidates.indices[0] < 4
    assert sets.candidates.indices[-1] > 35
    assert open_frame_sets(config).candidates.indices == sets.candidates.indices


def test_reference_is_spread_over_all_frames(make_config: MakeConfig) -> None:
    sets = open_frame_sets(make_config(checkpoint="a", frames=streets(40), num_reference_frames=4))
    assert sets.reference.indices == (0, 13, 26, 39)
    assert open_frame_sets(make_config(checkpoint="a", num_reference_frames=9)).reference.indices == (0, 1, 2, 3)


def test_frames_that_int8_is_chosen_on_are_known_by_what_they_show_and_the_gates_are_not_among_them(
    make_config: MakeConfig,
) -> None:
    values = {"checkpoint": "a", "frames": streets(7), "num_gate_frames": 3, "int8": INT8}
    config = make_config(**values, artefacts=["int8-cpu.onnx"])
    # The gate has 0, 3 and 6.
    assert int8_identities(config, open_frame_sets(config)) == {f"streets-target-00000{seed}" for seed in (1, 2, 4, 5)}
    assert int8_identities(make_config(**values), open_frame_sets(make_config(**values))) == frozenset()


def test_file_is_the_same_frame_under_every_name(frames_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(frames_folder)
    (tmp_path / "one.png").symlink_to(frames_folder / "1.png")
    roots = {frames_folder: "1.png", frames_folder.parent: f"{frames_folder.name}/1.png", tmp_path: "one.png"}
    names = {**roots, tmp_path / "link": "1.png"}
    found = {frame_identity(FolderConfig(layout="folder", root=root), name) for root, name in names.items()}
    assert found == {str((frames_folder / "1.png").resolve())}


def test_gate_is_the_same_with_and_without_int8(make_config: MakeConfig) -> None:
    values = {"checkpoint": "a", "frames": streets(20), "num_gate_frames": 3, "int8": INT8}
    plain, with_int8 = make_config(**values), make_config(**values, artefacts=["fp32.onnx", "int8-cpu.onnx"])
    assert open_frame_sets(plain).gate.indices == open_frame_sets(with_int8).gate.indices


def test_every_frame_of_a_data_set_that_just_suffices_has_one_use(make_config: MakeConfig) -> None:
    config = make_config(
        checkpoint="a", frames=streets(7), num_gate_frames=3, int8=INT8, artefacts=["fp32.onnx", "int8-cpu.onnx"]
    )
    sets = open_frame_sets(config)
    assert sorted(sets.gate.indices + sets.choice.indices + sets.candidates.indices) == list(range(7))


def test_too_few_frames_for_int8_are_counted(make_config: MakeConfig) -> None:
    config = make_config(
        checkpoint="a", frames=streets(6), num_gate_frames=3, int8=INT8, artefacts=["fp32.onnx", "int8-cpu.onnx"]
    )
    with pytest.raises(DataError, match=r"has 6 frames, but INT8 needs 7 \(num_gate_frames=3 \+ int8\.num_choice"):
        open_frame_sets(config)


def test_frame_of_another_size_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((*FRAME_HW, 3), dtype=np.uint8))
    write_png(tmp_path / "b.png", np.zeros((32, 96, 3), dtype=np.uint8))
    sets = open_frame_sets(make_config(checkpoint="a", frames={"layout": "folder", "root": tmp_path}))
    with pytest.raises(DataError, match=r"b\.png is 32x96 .* the bundle is for 64x96"):
        list(sets.gate)


def test_frame_size_of_the_config_is_required_of_the_first_frame_too(make_config: MakeConfig) -> None:
    sets = open_frame_sets(make_config(checkpoint="a", frame_hw=(48, 96)))
    with pytest.raises(DataError, match=r"0\.png is 64x96 .* the bundle is for 48x96"):
        next(iter(sets.gate))
