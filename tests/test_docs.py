"""The pages for people: links lead somewhere, commands exist, and the first page is read in five minutes."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
# What a person reads in five minutes, at some two hundred and fifty words a minute.
FIVE_MINUTES = 1250


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    return re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Anchors as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)) if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links_of(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors_of(target), f"{page.name}: {link}"


def test_every_guide_is_one_step_from_the_first_page() -> None:
    reached = {(ROOT / link.partition("#")[0]).resolve() for link in links_of(ROOT / "README.md")}
    assert set(PAGES) - reached <= {ROOT / "README.md", ROOT / "CHANGELOG.md"}


def test_first_page_is_read_in_five_minutes() -> None:
    words = [word for word in text_of(ROOT / "README.md").split() if any(map(str.isalnum, word))]
    assert len(words) <= FIVE_MINUTES


@pytest.mark.parametrize("stage", ["training", "export", "runtime", "benchmarks"])
def test_commands_on_the_pages_exist(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module(f"{stage}.__main__").main(["--help"])
    told = capsys.readouterr().out
    for page in PAGES:
        for command in re.findall(rf"python -m {stage} ([a-z][a-z-]*)", text_of(page)):
            assert re.search(rf"^ +{command}\b", told, re.MULTILINE), f"{page.name}: python -m {stage} {command}"


def test_targets_on_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for page in PAGES:
        for named in re.findall(r"(?:^|`)make ((?:[a-z][a-z-]*(?: |`|$))+)", text_of(page), re.MULTILINE):
            assert set(named.replace("`", "").split()) <= targets, f"{page.name}: make {named}"
