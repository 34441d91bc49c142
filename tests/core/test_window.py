"""Few requests are under way until Zalo answers, and few again when it does not."""

from datetime import UTC, datetime, timedelta

from gateway.core.window import START, WAITED_FOR, Window

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
MOST = 100


def full() -> Window:
    """A window with as many under way as it lets go."""
    window = Window(MOST)
    enter_all(window)
    return window


def enter_all(window: Window) -> int:
    count = window.room
    for _ in range(count):
        window.enter(NOON)
    return count


def test_a_burst_before_the_first_answer_is_small() -> None:
    window = full()
    assert (window.room, window.fits(1, is_waited_for=False)) == (0, False)
    assert START == 8


def test_it_opens_with_answers_up_to_its_most_while_it_is_used() -> None:
    window = full()
    for _ in range(2 * MOST):
        window.answered()
        window.leave(NOON)
        enter_all(window)
    under_way = 0
    while window.room < MOST:
        window.leave(NOON)
        under_way += 1
    assert under_way == MOST


def test_it_does_not_open_for_answers_that_needed_no_more_room() -> None:
    window = Window(MOST)
    for _ in range(50):
        window.enter(NOON)
        window.answered()
        window.leave(NOON)
    assert window.room == START


def test_a_wish_that_was_not_granted_opens_it() -> None:
    window = Window(MOST)
    window.enter(NOON)
    assert not window.fits(START + 1, is_waited_for=False)
    window.answered()
    window.leave(NOON)
    assert window.room == START + 1


def test_one_doubt_closes_it() -> None:
    window = full()
    for _ in range(50):
        window.answered()
        enter_all(window)
    window.doubted()
    assert window.room == 0
    for _ in range(START + 50):
        window.leave(NOON)
    assert window.room == START


def test_it_is_small_again_after_a_while_without_sending() -> None:
    window = full()
    for _ in range(20):
        window.answered()
        enter_all(window)
    for _ in range(START + 20):
        window.leave(NOON)
    assert window.room == START + 20
    window.enter(NOON + timedelta(seconds=11))
    assert window.room == START - 1


def test_who_waits_is_not_kept_waiting_for_the_first_answers_unless_the_last_was_in_doubt() -> None:
    window = Window(MOST)
    assert window.fits(WAITED_FOR, is_waited_for=True)
    assert not window.fits(WAITED_FOR + 1, is_waited_for=True)
    window.enter(NOON)
    window.doubted()
    assert not window.fits(START, is_waited_for=True)
    window.answered()
    assert window.fits(WAITED_FOR - 1, is_waited_for=True)
