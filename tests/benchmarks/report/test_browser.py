"""What a person sees: the report in a real browser, without a window."""

import base64
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.report.conftest import config_of
from tests.benchmarks.report.opened import Opened

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium, of which none is on the PATH")

Browse = Callable[..., subprocess.CompletedProcess[str]]
HEIGHT = 700


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Opens a page of which a script of the test's own is part; gives what the browser printed."""

    def opened(
        html: str, script: str = "", output: str = "--dump-dom", width: int = 1000
    ) -> subprocess.CompletedProcess[str]:
        assert BROWSER is not None
        page = tmp_path / "page.html"
        # Our policy lets in no script but our own; a test's replaces the policy with one that forbids all else.
        policy = "script-src 'unsafe-inline'" if script else r"\g<0>"
        html = re.sub(r"script-src 'sha256-[^']*'", policy, html)
        page.write_text(html.replace("</body>", f"<script>{{{script}}}</script></body>" if script else "</body>"))
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        options += ["--disable-background-networking", "--enable-logging=stderr", "--virtual-time-budget=2000"]
        options += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},{HEIGHT}", output]
        command = [BROWSER, *options, f"file://{page}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    return opened


@pytest.fixture(scope="session")
def html(whole: Opened, run_once: Path) -> str:
    """The report of the whole run."""
    assert config_of(run_once).output.is_dir()
    return whole.html


def slide(value: int) -> str:
    """A script that moves the first slider as a person does."""
    return (
        f"const slider = document.querySelector('.wipe input'); slider.value = {value};"
        "slider.dispatchEvent(new Event('input'));"
    )


def test_page_opens_without_a_complaint_and_its_script_runs(html: str, browse: Browse) -> None:
    done = browse(html)
    assert "CONSOLE" not in done.stderr
    assert 'class="has-script"' in done.stdout
    assert "--cut: 50%" in done.stdout


def test_complaints_of_a_page_are_heard(html: str, browse: Browse) -> None:
    """What the test above relies on: the browser tells of errors, and the policy keeps other scripts out."""
    assert "CONSOLE" in browse(html, "undefined.nothing").stderr
    barred = browse(html.replace("</body>", "<script>document.title = 'taken'</script></body>"))
    assert "CONSOLE" in barred.stderr
    assert "<title>taken" not in barred.stdout


def test_slider_moves_the_seam(html: str, browse: Browse) -> None:
    page = browse(html, slide(20)).stdout
    assert re.search(r'class="wipe" style="[^"]*--cut: 20%', page)


@pytest.mark.parametrize(("value", "kind"), [(100, "before"), (0, "after")])
def test_slider_at_its_end_shows_one_network_alone(
    whole: Opened, html: str, browse: Browse, tmp_path: Path, value: int, kind: str
) -> None:
    # The picture alone, at the top, without the frame shining through.
    script = slide(value) + "document.documentElement.style.setProperty('--mix', 1);"
    script += "document.body.replaceChildren(document.querySelector('.wipe'));"
    browse(html, script, f"--screenshot={tmp_path / 'seen.png'}", 600)
    seen = np.asarray(Image.open(tmp_path / "seen.png").convert("RGB")).astype(int)[:300]
    uri = next(attributes["src"] for tag, attributes in whole.elements if attributes.get("class") == kind)
    labels = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
    expected = np.asarray(labels.resize((600, 300), Image.Resampling.NEAREST)).astype(int)
    # Tags, seam and round corners lie over it.
    assert (np.abs(seen - expected).max(axis=-1) <= 2).mean() > 0.9


def test_class_colours_fade_to_the_frame(html: str, browse: Browse) -> None:
    script = "const mix = document.getElementById('mix'); mix.value = 0; mix.dispatchEvent(new Event('input'));"
    script += "document.title = getComputedStyle(document.querySelector('.wipe .after')).opacity;"
    assert "<title>0</title>" in browse(html, script).stdout


def test_class_under_the_pointer_is_named(html: str, browse: Browse) -> None:
    script = (
        "const wipe = document.querySelector('.scenes .wipe'), box = wipe.getBoundingClientRect();"
        "Promise.all([...wipe.closest('figure').querySelectorAll('img')].map((image) => image.decode())).then(() =>"
        "wipe.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + 5, clientY: box.top + 5})));"
    )
    page = browse(html, script).stdout
    assert re.search(r'class="readout">Here: [a-z ]+ before, [a-z ]+ after, [a-z ]+ in truth\.<', page)


@pytest.mark.parametrize("width", [400, 1280])
def test_page_is_no_wider_than_its_window(html: str, browse: Browse, width: int) -> None:
    script = "document.title = `${document.documentElement.scrollWidth} of ${innerWidth}`;"
    found = re.search(r"<title>(\d+) of (\d+)</title>", browse(html, script, width=width).stdout)
    assert found is not None
    assert int(found[1]) <= int(found[2])
