"""A place for one thing: whoever comes later gets the newest, and what it replaced is told to who put it there."""

from threading import Condition
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Newest wins; between one thread that puts and one that takes."""

    def __init__(self) -> None:
        self._item: Item | None = None
        self._changed = Condition()
        self._is_closed = False

    def put(self, item: Item) -> Item | None:
        """Leave an item; gives back the one nobody will take: what it replaced, or itself once it is closed."""
        with self._changed:
            if self._is_closed:
                return item
            replaced, self._item = self._item, item
            self._changed.notify()
            return replaced

    def take(self, timeout_s: float) -> Item | None:
        """The newest item; None where none came in time, or none will come any more."""
        with self._changed:
            if self._item is None and not self._is_closed:
                self._changed.wait(timeout_s)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """No item will be put any more; the last one can still be taken. May be repeated, by either side."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    @property
    def is_exhausted(self) -> bool:
        """Whether it is closed and empty."""
        return self._is_closed and self._item is None
