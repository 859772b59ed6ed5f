"""`python -m export card`: two pages beside a bundle. Never inside it, where every file has to be in the manifest."""

from collections.abc import Mapping
from pathlib import Path

from export.card.data_statement import data_statement
from export.card.markdown import NOT_RECORDED, QUESTION
from export.card.model_card import model_card
from runtime.bundle.manifest import MANIFEST_NAME, Manifest
from runtime.errors import ConfigError
from runtime.files import sha256_of, writable_folder, write_text

__all__ = ["card_folder", "write_card"]


def card_folder(bundle: Path) -> Path:
    """Where the pages go unless told otherwise."""
    return bundle.with_name(f"{bundle.name}-card")


def write_card(bundle: Path, manifest: Manifest, folder: Path, *, signature: str) -> Mapping[str, object]:
    """Write `model_card.md` and `data_statement.md`.

    Args:
        bundle: for its name and its manifest's hash.
        manifest: of the bundle.
        folder: where the pages go.
        signature: what there is to say of the bundle's.

    Returns:
        Paths, and how much the owner has to fill in or was not recorded.

    Raises:
        ConfigError: a page is there already, the folder lies inside the bundle, or it cannot be written.
    """
    if folder.resolve().is_relative_to(bundle.resolve()):
        raise ConfigError(
            f"{folder} lies inside the bundle, which may hold nothing that its manifest does not list; give another "
            f"--output, or none for {card_folder(bundle)}"
        )
    paths = {name: folder / f"{name}.md" for name in ("model_card", "data_statement")}
    there = [path for path in paths.values() if path.exists()]
    if there:
        raise ConfigError(f"{there[0]} is there, and someone may have filled it in; move it, or give another --output")
    digest = sha256_of(bundle / MANIFEST_NAME)
    name = bundle.resolve().name
    pages = {
        "model_card": model_card(manifest, name=name, manifest_sha256=digest, signature=signature),
        "data_statement": data_statement(manifest, name=name, manifest_sha256=digest),
    }
    writable_folder(folder)
    for page, text in pages.items():
        write_text(paths[page], text)
    whole = "\n".join(pages.values())
    return {
        **{page: str(path) for page, path in paths.items()},
        "questions": whole.count(QUESTION),
        # The sentence that explains the word is on both pages.
        "not_recorded": whole.count(NOT_RECORDED) - len(pages),
    }
