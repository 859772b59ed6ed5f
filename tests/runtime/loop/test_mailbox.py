from threading import Thread

from runtime.loop.mailbox import Mailbox
from tests.runtime.loop.doubles import PATIENCE_S, until


def test_newest_wins_and_the_older_one_comes_back() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert mailbox.put(1) is None
    assert mailbox.put(2) == 1
    assert mailbox.take(0.0) == 2
    assert mailbox.take(0.0) is None


def test_whoever_waits_is_woken_by_an_item_or_by_the_end() -> None:
    mailbox: Mailbox[int] = Mailbox()
    taken: list[int | None] = []
    taker = Thread(target=lambda: taken.extend(mailbox.take(PATIENCE_S) for _ in range(2)))
    taker.start()
    mailbox.put(7)
    until(lambda: taken)
    mailbox.close()
    taker.join(PATIENCE_S)
    assert taken == [7, None]


def test_last_item_can_be_taken_after_the_end_and_none_can_be_put() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.close()
    assert not mailbox.is_exhausted
    assert mailbox.put(2) == 2
    assert mailbox.take(PATIENCE_S) == 1
    assert mailbox.is_exhausted
    assert mailbox.take(PATIENCE_S) is None
