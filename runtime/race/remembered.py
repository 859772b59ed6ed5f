"""Winners of earlier races, in one JSON file: a machine that has raced with a bundle starts it without delay."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runtime.backends.config import BackendConfig
from runtime.command import say
from runtime.config import StrictModel
from runtime.files import write_json

__all__ = ["Winner", "key_of", "recall", "remember"]

# Bundles come and go; the file of a machine that has seen many stays small.
MAX_WINNERS = 64


class Winner(StrictModel):
    """The fastest engine of a machine for a bundle, with the median time of its best round.

    The time is None where there was no race: it was that of the bundle before, whose place this one took.
    """

    backend: BackendConfig
    artefact: str
    median_ms: float | None = None
    device: dict[str, Any]


class _Winners(StrictModel):
    """All there are, by key, the latest last."""

    winners: dict[str, Winner]


def key_of(**parts: Any) -> str:
    """What a race depends on, plain values of JSON, as one key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def recall(path: Path, key: str) -> Winner | None:
    """The winner of the race with this key; None where there was none, or the file is damaged, which is said."""
    return _read(path).get(key)


def remember(path: Path, key: str, winner: Winner) -> None:
    """Keep a winner; where that fails, say so, because the next start will race again."""
    kept = {name: known for name, known in _read(path).items() if name != key}
    latest = dict([*kept.items(), (key, winner)][-MAX_WINNERS:])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, _Winners(winners=latest).model_dump(mode="json"))
    except OSError as error:
        say(f"{path} cannot be written ({error.strerror}), so the next start will race again; set backend.cache")


def _read(path: Path) -> Mapping[str, Winner]:
    try:
        return _Winners.model_validate_json(path.read_bytes()).winners
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        say(f"{path} is damaged and counts as empty: {error}")
        return {}
