"""Reading what a command wrote."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runtime.errors import DataError

__all__ = ["read_document"]

Document = TypeVar("Document")


def read_document(path: Path, model: type[Document] | Any, command: str) -> Document:
    """A JSON document as its model.

    Args:
        path: the file, which is there.
        model: the pydantic model, or another type that pydantic checks.
        command: what makes it again, for the message.

    Raises:
        DataError: it cannot be read, is damaged or of another version.
    """
    try:
        found: Document = TypeAdapter(model).validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); correct its permissions") from error
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise DataError(
            f"{path} is damaged or of another version at {key or 'its start'}: {problem['msg']}; delete it and run "
            f"`{command}` again"
        ) from error
    return found
