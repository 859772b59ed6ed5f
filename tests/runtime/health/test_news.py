from runtime.health.news import HealthNews
from runtime.health.reasons import OK, Health, Reason

SECOND = 1_000_000_000
STARTING = Health(Reason.STARTING, ("no result yet",))
LOST = Health(Reason.NO_FRAMES | Reason.SOURCE_LOST, ("no whole frame for more than 500 ms", "/dev/video0 is gone"))
LOST_LINE = "health: FAULT: NO_FRAMES (no whole frame for more than 500 ms); SOURCE_LOST (/dev/video0 is gone)"
STOPPED = Health(Reason.STOPPED, ("the loop was stopped",))


def told(*heard: tuple[float, Health]) -> list[str]:
    lines: list[str] = []
    news = HealthNews(lines.append)
    for now_s, health in heard:
        news.note(round(now_s * SECOND), health)
    return lines


def test_each_change_is_a_line_with_every_reason() -> None:
    assert told((1, STARTING), (2, OK), (3, OK), (4, LOST), (6, OK)) == ["health: OK", LOST_LINE, "health: OK"]


def test_sentence_of_a_reason_is_told_once() -> None:
    silent = Health(Reason.NO_FRAMES, LOST.details[:1])
    assert told((2, OK), (4, silent), (6, LOST))[1:] == [
        "health: FAULT: NO_FRAMES (no whole frame for more than 500 ms)",
        "health: FAULT: NO_FRAMES; SOURCE_LOST (/dev/video0 is gone)",
    ]


def test_other_words_for_the_same_reasons_are_no_news() -> None:
    assert told((2, OK), (4, LOST), (6, Health(LOST.reasons, ("still none", "still gone")))) == [
        "health: OK",
        LOST_LINE,
    ]


def test_what_comes_too_soon_after_a_line_is_told_where_it_lasts() -> None:
    assert told((2, OK), (2.1, LOST), (2.2, OK), (2.9, LOST), (3.0, LOST)) == ["health: OK", LOST_LINE]


def test_beginning_and_end_are_no_news() -> None:
    assert told((1, STARTING), (2, OK), (9, STOPPED)) == ["health: OK"]
