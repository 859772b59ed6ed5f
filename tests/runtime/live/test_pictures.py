"""That pictures show the newest result, one and the same, and cost nothing while nobody looks."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from io import BytesIO
from threading import Event, Thread
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.bundle.manifest import Manifest
from runtime.live import pictures
from runtime.live.buffers import NewestKept
from runtime.live.pictures import CONFIDENCE_SCALE
from runtime.live.view import UNWATCHED_NS, LiveView
from runtime.result import Result

Fetch = Callable[..., tuple[int, Message, bytes]]
MakeResult = Callable[..., Result]
PassMs = Callable[[float], None]

PICTURES = ("/frame.jpg", "/labels.png", "/overlay.jpg", "/confidence.png", "/pictures")


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def parts_of(headers: Message, content: bytes) -> dict[str, bytes]:
    form = message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + content)
    parts = {}
    for part in cast("list[Message]", form.get_payload()):
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(payload, bytes)
        parts[name] = payload
    return parts


@pytest.mark.parametrize("path", PICTURES)
def test_before_the_first_result_there_is_no_picture(fetch: Fetch, path: str) -> None:
    status, _, content = fetch(path)
    assert status == 503
    assert b"no result yet" in content


def test_each_picture_shows_the_newest_result_and_says_how_old_it_is(
    view: LiveView, fetch: Fetch, make_result: MakeResult, pass_ms: PassMs, manifest: Manifest
) -> None:
    view.write(make_result(1))
    pass_ms(25)
    road, sky = (np.array(entry.colour) for entry in manifest.classes[:2])
    assert not np.array_equal(road, sky)
    expected = {
        "/frame.jpg": (1, 1, 1),
        "/labels.png": sky,
        "/overlay.jpg": np.rint(0.5 * sky + 0.5),
        "/confidence.png": CONFIDENCE_SCALE[-1],
    }
    for path, colour in expected.items():
        status, headers, content = fetch(path)
        assert (status, headers["Frame-Id"], headers["Age-Ms"]) == (200, "1", "75.0")
        shown = pixels(content)
        assert shown.shape == (*manifest.frame_hw, 3)
        assert np.abs(shown.astype(int) - np.asarray(colour)).max() <= 3


def test_pictures_come_together_with_what_their_colours_mean(
    view: LiveView, fetch: Fetch, make_result: MakeResult, pass_ms: PassMs
) -> None:
    view.write(make_result(5))
    pass_ms(25)
    status, headers, content = fetch("/pictures")
    parts = parts_of(headers, content)
    about: dict[str, Any] = json.loads(parts["about"])
    assert status == 200
    assert set(parts) == {"about", "frame", "labels", "confidence"}
    assert (about["frame_id"], about["name"], about["age_ms"], about["opacity"]) == (5, "frame-5", 75.0, 0.5)
    assert [(entry["name"], entry["share"]) for entry in about["classes"]] == [("road", 0), ("sky", 0), ("car", 1)]


def test_pictures_that_the_page_has_are_not_sent_again(view: LiveView, fetch: Fetch, make_result: MakeResult) -> None:
    view.write(make_result(5))
    tag = fetch("/pictures")[1]["ETag"]
    assert fetch("/pictures", If_None_Match=tag)[::2] == (304, b"")
    view.write(make_result(6))
    assert fetch("/pictures", If_None_Match=tag)[0] == 200


def test_a_picture_is_drawn_once_a_result(
    view: LiveView, fetch: Fetch, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    jpeg = pictures._jpeg

    def counted(image: Image.Image) -> tuple[str, bytes]:
        drawn.append(image)
        return jpeg(image)

    monkeypatch.setattr(pictures, "_jpeg", counted)
    view.write(make_result(1))
    assert not drawn
    first = [fetch("/frame.jpg")[2] for _ in range(3)]
    assert len(drawn) == 1
    assert first[0] == first[1] == first[2]
    view.write(make_result(200))
    assert fetch("/frame.jpg")[2] != first[0]
    assert len(drawn) == 2


def test_arrays_are_kept_seldom_while_nobody_looks_and_always_while_somebody_does(
    view: LiveView, fetch: Fetch, make_result: MakeResult, pass_ms: PassMs
) -> None:
    view.write(make_result(1))
    pass_ms(UNWATCHED_NS / 1e6 - 1)
    view.write(make_result(2))
    assert fetch("/frame.jpg")[1]["Frame-Id"] == "1"
    view.write(make_result(3))
    assert fetch("/frame.jpg")[1]["Frame-Id"] == "3"
    pass_ms(60_000)
    view.write(make_result(4))
    pass_ms(1)
    view.write(make_result(5))
    assert fetch("/frame.jpg")[1]["Frame-Id"] == "4"


def test_large_frames_are_scaled_down_alike(manifest: Manifest, make_result: MakeResult) -> None:
    result = make_result(1)
    newest = NewestKept(result.labels.shape)
    newest.put(result)
    drawn = pictures.Pictures(newest, manifest, 0.5, 10).together()
    assert drawn is not None
    assert {pixels(picture.content).shape for picture in drawn[0].values()} == {(6, 8, 3)}


@contextmanager
def writing(view: LiveView, make_result: MakeResult) -> Iterator[None]:
    """Write results as fast as possible from a thread of their own."""
    results = [make_result(frame_id) for frame_id in range(256)]
    stopping = Event()

    def write() -> None:
        while not stopping.is_set():
            for result in results:
                view.write(result)

    writer = Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stopping.set()
        writer.join()


def test_what_comes_together_belongs_together(
    view: LiveView, fetch: Fetch, make_result: MakeResult, manifest: Manifest
) -> None:
    view.write(make_result(0))
    seen = set()
    with writing(view, make_result):
        for _ in range(100):
            _, headers, content = fetch("/pictures")
            parts = parts_of(headers, content)
            frame_id = json.loads(parts["about"])["frame_id"]
            seen.add(frame_id)
            assert np.abs(pixels(parts["frame"]).astype(int) - frame_id).max() <= 2
            assert (pixels(parts["labels"]) == manifest.classes[frame_id % 3].colour).all()
    assert len(seen) > 10


def test_a_result_that_was_taken_stays_as_it_is_while_others_come(make_result: MakeResult) -> None:
    newest = NewestKept(make_result(0).labels.shape)
    newest.put(make_result(1))
    kept = newest.take()
    for frame_id in range(2, 9):
        newest.put(make_result(frame_id))
        assert (kept.captured.frame_id, kept.frame.min(), kept.frame.max()) == (1, 1, 1)
    assert newest.take().captured.frame_id == 8
    assert newest.take().captured.frame_id == 8
