"""Before, after and truth of a few target frames."""

from dataclasses import dataclass

from benchmarks.report.networks import Networks
from benchmarks.report.pictures import CHANGES, Wipe, wipe_of
from benchmarks.report.run import Run
from benchmarks.report.scenes import Scene
from benchmarks.report.section import Content, Section

__all__ = ["SECTION"]


@dataclass(frozen=True, slots=True)
class _Card:
    """A scene with its slider, and the sentence below it."""

    wipe: Wipe
    caption: str


def build(run: Run) -> Content:
    """Sliders of all scenes but the one on top."""
    networks, looked = run.networks, run.looked
    cards = [_card(scene, networks) for scene in looked.others]
    values = {
        "cards": cards,
        "looked": looked,
        "changes": CHANGES,
        "classes": list(zip(networks.spec.label_space.names, networks.spec.label_space.palette, strict=True)),
    }
    return Content(values, (networks.source_file, networks.adapted_file, run.training_config_path))


def _card(scene: Scene, networks: Networks) -> _Card:
    caption = f"{scene.name}, {scene.why}"
    if scene.right is not None:
        before, after = scene.right
        caption += f": {100 * before:.0f} % of its pixels right before, {100 * after:.0f} % after"
    return _Card(wipe_of(scene, networks.spec.label_space), caption)


SECTION = Section("scenes", "Before, after, truth", "make adapt", build)
