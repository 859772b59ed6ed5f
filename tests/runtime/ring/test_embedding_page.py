"""The code on docs/embedding.md runs as it stands there."""

import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.ring.layout import Kind, Verdict
from runtime.ring.writer import RingWriter

PAGE = (Path(__file__).parents[3] / "docs/embedding.md").read_text(encoding="utf-8")
MakeResult = Callable[..., Any]


def block(language: str, contains: str) -> str:
    """The one block of code with this text in it."""
    (found,) = [code for code in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if contains in code]
    return str(found)


def run(code: str, bundle: Path, **names: Any) -> None:
    before = Path.cwd()
    os.chdir(bundle.parent)
    try:
        exec(compile(code, "docs/embedding.md", "exec"), names)
    finally:
        os.chdir(before)


def test_one_frame(bundle: Path, striped_frame: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]) -> None:
    run(block("python", "segmenter.segment"), bundle, frame=striped_frame)
    assert capsys.readouterr().out.startswith("(16, 24) 200.0 ")


def test_loop(bundle: Path, striped_frame: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec("runtime.sinks.callback") is None:
        pytest.skip("no callback sink")
    frames: Iterator[NDArray[np.uint8]] = iter([striped_frame])
    run(block("python", "loop.run"), bundle, read_frame=lambda timeout_s: next(frames))
    assert re.match(r"0 \w+ [\d.]+ ms old", capsys.readouterr().out)


def test_reader(name: str, bundle: Path, make_result: MakeResult, capsys: pytest.CaptureFixture[str]) -> None:
    with RingWriter.create(name, Kind.RESULTS, (4, 6), num_slots=2, deadline_ns=10**18) as writer:
        writer.write_result(make_result(3, 0))
        code = block("python", "RingReader.open").replace('"front"', repr(name)).replace(".verdict(slot)", AT_ONCE)
        run(code, bundle)
    assert capsys.readouterr().out.startswith("3 (4, 6)")


# The result of the test was captured, and its writer beat, when the clock began.
AT_ONCE = ".verdict(slot, now_ns=15)"


def test_camera(name: str, bundle: Path, striped_frame: NDArray[np.uint8]) -> None:
    run(block("python", "writer.write_frame").replace('"camera"', repr(name)), bundle, frame=striped_frame)


def test_reader_in_c(
    name: str, compile_c: Callable[..., Path], start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    source = tmp_path / "page.c"
    source.write_text(block("c", "iapc_ring_verdict").replace('"front"', f'"{name}"'))
    process = start(compile_c(source))
    _, problem = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "start its writer first" in problem


def test_every_verdict_is_explained() -> None:
    assert re.findall(r"^\| ([A-Z_]+) \|", PAGE, re.MULTILINE) == [verdict.name for verdict in Verdict]


def test_layout_as_the_page_tells_it(name: str) -> None:
    with RingWriter.create(name, Kind.FRAMES, (4, 6), num_slots=3, deadline_ns=77):
        content = Path(f"/dev/shm/iapc-{name}").read_bytes()
    told = struct.unpack_from("<8sIIIIIIIIQQQqqi", content)
    assert told[:13] == (b"IAPCRING", 1, 576, 1, 4, 6, 0, 3, 1, 72, 128 + 128, 576 + 3 * 256, 77)
    assert told[14] == os.getpid()
    assert struct.unpack_from("<QQ", content, 128) == (0, 1)
    assert struct.unpack_from("<Q", content, 384)[0] == 2
