"""What a person sees: the page in a real browser, without a window."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from html import unescape
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import monotonic_ns

import numpy as np
import pytest
from PIL import Image

from runtime.bundle.manifest import Manifest
from runtime.health.reasons import OK, Health, Reason
from runtime.live.answers import Answer
from runtime.live.config import LiveConfig
from runtime.live.view import LiveView
from runtime.result import Result, Status

MakeResult = Callable[..., Result]
PassMs = Callable[[float], None]

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium, of which none is on the PATH")

DEADLINE_NS = 1_000_000_000


def slow_ns() -> int:
    """A clock on which a busy machine makes nothing late."""
    return monotonic_ns() // 20


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., str]:
    """Opens a page and gives what it looks like after some of its own time: the DOM, or a picture in a file."""

    def open_page(url: str, output: str = "--dump-dom") -> str:
        assert BROWSER is not None
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ]
        options += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900", "--hide-scrollbars"]
        # The page's clock runs ahead of ours whenever it waits for nothing but a timer.
        options += ["--virtual-time-budget=10000", output]
        done = subprocess.run([BROWSER, *options, url], capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    return open_page


@pytest.fixture
def live(manifest: Manifest) -> Iterator[LiveView]:
    view = LiveView(LiveConfig(port=0), manifest, 0.5, now_ns=slow_ns)
    yield view
    view.close()


@contextmanager
def feeding(view: LiveView, make_result: MakeResult, health: Health, first: int = 1) -> Iterator[None]:
    """Give the view twenty results a second."""
    stopping = Event()

    def feed() -> None:
        for frame_id in count(first):
            if stopping.wait(0.05):
                return
            view.write(make_result(frame_id, health=health, published_ns=slow_ns(), deadline_ns=DEADLINE_NS))

    feeder = Thread(target=feed)
    feeder.start()
    try:
        yield
    finally:
        stopping.set()
        feeder.join()


def text_of(page: str, element_id: str) -> str:
    """What stands in an element, its own elements' text included."""
    found = re.search(rf'<(\w+)[^>]*\bid="{element_id}"[^>]*>(.*?)</\1>', page, re.DOTALL)
    assert found is not None, f"no element {element_id} in the page"
    return unescape(re.sub(r"<[^>]*>", " ", found[2])).strip()


def num_stale(page: str) -> int:
    """How many pictures are stamped as stale."""
    return len(re.findall(r'class="stamp">STALE \d+\.\d s<', page))


def test_a_loop_that_runs_is_shown_with_its_health_and_moves_on(
    live: LiveView, make_result: MakeResult, browse: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    together = live._answers._together

    def told(headers: Message) -> Answer:
        answer = together(headers)
        given.append(answer.headers.get("ETag", "").strip('"').partition("-")[0])
        return answer

    monkeypatch.setattr(live._answers, "_together", told)
    details = ("more than 20% of frames were overtaken", "processor 3 is hot")
    with feeding(live, make_result, Health(Reason.FRAMES_DROPPED | Reason.THROTTLED, details)):
        page = browse(live.url)
    assert text_of(page, "state") == "DEGRADED"
    assert text_of(page, "because") == "More than 20% of frames were overtaken. And 1 more below."
    reasons = text_of(page, "reasons")
    assert all(detail.capitalize() in reasons for detail in details)
    assert "Frames dropped" in reasons
    assert num_stale(page) == 0
    assert 'data-picture="fresh"' in page
    assert text_of(page, "frame-id") in given[1:]
    assert text_of(page, "frame-id") != given[0]
    assert text_of(page, "drop-ratio") == "25.0 %"
    assert text_of(page, "bundle") == "abababababab"
    assert "road" in text_of(page, "classes")
    assert re.search(r"Age at publish\s+50.0", text_of(page, "stages"))


def test_a_loop_that_fell_silent_is_stale_and_nothing_it_said_counts(
    view: LiveView, make_result: MakeResult, pass_ms: PassMs, browse: Callable[..., str]
) -> None:
    view.write(make_result(41))
    pass_ms(5000)
    page = browse(view.url)
    assert text_of(page, "state") == "STALE"
    assert re.match(r"The loop has told nothing for 5\.\d s\.", text_of(page, "because"))
    assert re.fullmatch(r"Unknown\s+The loop was OK when it was heard last\.", text_of(page, "reasons"))
    assert num_stale(page) == 2
    assert text_of(page, "frame-id") == "41"
    assert text_of(page, "rate") == "none"


def test_old_pictures_are_stale_though_the_loop_speaks(
    view: LiveView, make_result: MakeResult, pass_ms: PassMs, browse: Callable[..., str]
) -> None:
    view.write(make_result(41))
    pass_ms(5000)
    view.tell(Status(now_ns=0, health=Health(Reason.NO_FRAMES, ("no whole frame for more than 500 ms",))))
    page = browse(view.url)
    assert text_of(page, "state") == "FAULT"
    assert text_of(page, "because") == "No whole frame for more than 500 ms."
    assert num_stale(page) == 2


def test_a_server_that_is_gone_leaves_nothing_that_looks_live(
    manifest: Manifest, make_result: MakeResult, browse: Callable[..., str]
) -> None:
    view = LiveView(LiveConfig(port=0), manifest, 0.5, now_ns=slow_ns)
    view.write(make_result(41, published_ns=slow_ns(), deadline_ns=DEADLINE_NS))

    def close_when_seen() -> None:
        while view._answers.asked_ns is None:
            Event().wait(0.01)
        view.close()

    closer = Thread(target=close_when_seen)
    closer.start()
    page = browse(view.url)
    closer.join()
    assert text_of(page, "state") == "STALE"
    assert text_of(page, "because").startswith("No answer from the vehicle for ")


def test_the_picture_is_there_to_be_seen(
    live: LiveView, make_result: MakeResult, manifest: Manifest, browse: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "page.png"
    live.write(make_result(0, published_ns=slow_ns(), deadline_ns=DEADLINE_NS))
    with feeding(live, lambda _, **told: make_result(0, **told), OK):
        browse(live.url, f"--screenshot={file}")
    shown = np.asarray(Image.open(file).convert("RGB")).astype(int)
    # The frame is black, so the overlay is half of the class's colour.
    mixed = np.array(manifest.classes[0].colour) / 2
    is_mixed = np.abs(shown - mixed).max(axis=-1) <= 3
    assert is_mixed.mean() > 0.05
