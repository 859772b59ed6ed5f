import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.images import read_image, write_png

ROOT = Path(__file__).parents[2]
Frame = NDArray[np.uint8]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime", "segment", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def last_line(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def drive(tmp_path: Path, striped_frame: Frame) -> Path:
    """A folder of two frames: stripes of all classes, then road alone."""
    folder = tmp_path / "drive"
    folder.mkdir()
    write_png(folder / "0.png", striped_frame)
    write_png(folder / "1.png", np.full((16, 24, 3), (9, 0, 0), dtype=np.uint8))
    return folder


def test_folder_gives_label_maps_overlays_and_figures(
    bundle: Path, drive: Path, tmp_path: Path, striped_labels: Frame
) -> None:
    output = tmp_path / "new" / "output"
    done = run(bundle, drive, "--output", output)
    figures = last_line(done)
    assert names_in(output) == ["0_labels.png", "0_overlay.png", "1_labels.png", "1_overlay.png", "run.json"]
    np.testing.assert_array_equal(read_image(output / "0_labels.png")[..., 0], striped_labels)
    assert (read_image(output / "1_labels.png") == 0).all()
    assert (figures["bundle"], figures["output"], figures["frames"]) == (str(bundle), str(output), 2)
    # Thirds of the first frame, all of the second: road (1/3 + 1) / 2.
    assert figures["class_share"] == {"road": 0.666667, "sky": 0.166667, "car": 0.166667}
    assert 0 < figures["latency_ms_p50"] <= figures["latency_ms_max"]
    assert "road" in done.stderr
    assert "66.67%" in done.stderr


def test_settings_used_are_kept_beside_the_pictures(bundle: Path, drive: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    figures = last_line(run(bundle, drive, "--output", output, "--provider", "cpu", "--set", "overlay_opacity=1"))
    written = json.loads((output / "run.json").read_text())
    config = written.pop("config")
    assert list(config) == ["backend", "artefact", "public_key", "overlay_opacity"]
    assert (config["backend"]["provider"], config["backend"]["threads"]) == ("cpu", None)
    assert (config["artefact"], config["public_key"], config["overlay_opacity"]) == (None, None, 1.0)
    assert written == figures


def test_opacity_of_the_run_file_colours_the_overlay(bundle: Path, drive: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("runtime: {overlay_opacity: 1.0}\n")
    last_line(run(bundle, drive / "1.png", "--output", tmp_path / "output", "--config", tmp_path / "run.yaml"))
    assert (read_image(tmp_path / "output" / "1_overlay.png")[:16] == (128, 64, 128)).all()


def test_video_gives_label_maps_and_an_overlay_video(bundle: Path, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "drive.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.height, stream.width, stream.pix_fmt = 16, 24, "yuv420p"
        for channel in range(3):
            frame = np.zeros((16, 24, 3), dtype=np.uint8)
            frame[..., channel] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    output = tmp_path / "output"
    figures = last_line(run(bundle, tmp_path / "drive.mp4", "--output", output, "--set", "overlay_opacity=1"))
    labels = [f"drive_{index:06d}_labels.png" for index in range(3)]
    assert names_in(output) == [*labels, "drive_overlay.mp4", "run.json"]
    for train_id, name in enumerate(labels):
        assert (read_image(output / name) == train_id).all()
    assert figures["frames"] == 3
    with av.open(str(output / "drive_overlay.mp4")) as container:
        assert container.streams.video[0].average_rate == 5
        pictures = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    # Compression is lossy, and it averages colours in blocks of two by two pixels.
    for picture, colour in zip(pictures, [(128, 64, 128), (70, 130, 180), (0, 0, 142)], strict=True):
        np.testing.assert_allclose(picture[4:12, 4:20].mean(axis=(0, 1)), colour, atol=8)


def test_damaged_frame_fails_with_its_name_and_leaves_whole_files(bundle: Path, drive: Path, tmp_path: Path) -> None:
    content = (drive / "1.png").read_bytes()
    (drive / "1.png").write_bytes(content[: len(content) // 2])
    done = run(bundle, drive, "--output", tmp_path / "output")
    assert (done.returncode, done.stdout) == (1, "")
    assert "1.png cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert names_in(tmp_path / "output") == ["0_labels.png", "0_overlay.png"]


def test_altered_bundle_fails_before_anything_is_written(bundle: Path, drive: Path, tmp_path: Path) -> None:
    (bundle / "fp32.onnx").write_bytes(b"altered")
    done = run(bundle, drive, "--output", tmp_path / "output")
    assert (done.returncode, done.stdout) == (1, "")
    assert "was altered: fp32.onnx" in done.stderr
    assert names_in(tmp_path / "output") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "backend.provider=cpu", "--set", "backend.thread=2"], "did you mean 'threads'?"),
        (["--set", "overlay_opacity=2"], "overlay_opacity: Input should be less than or equal to 1 (got 2)"),
        (["--provider", "cuda", "--set", "backend.threads=2"], "valid names: provider, device_id"),
        (["--provider", "tpu"], "invalid choice: 'tpu'"),
        (["--config", "nowhere.yaml"], "config file nowhere.yaml does not exist"),
    ],
)
def test_bad_usage_or_config_exits_with_2(
    bundle: Path, drive: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run(bundle, drive, "--output", tmp_path / "output", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_output_inside_the_input_is_refused(bundle: Path, drive: Path) -> None:
    done = run(bundle, drive, "--output", drive / "output")
    assert done.returncode == 2
    assert "lies inside the input" in done.stderr
    assert names_in(drive) == ["0.png", "1.png"]


def test_help_shows_an_example_and_the_exit_statuses() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "python -m runtime segment runs/streets/bundle drive.mp4 --output runs/drive" in done.stdout
    assert "exit status: 0 done, 1 failed, 2 bad usage or config" in done.stdout
