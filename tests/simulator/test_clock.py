from datetime import UTC, datetime

from gateway.simulator.clock import Agenda, is_night, text_of, vietnam_day, vietnam_month

from .stage import NOON, Hands


def test_simulated_time_runs_by_the_scale_and_never_jumps() -> None:
    hands = Hands()
    clock = hands.clock(scale=2)
    hands.move(10)
    assert clock.elapsed() == 20
    clock.rescale(60)
    assert clock.elapsed() == 20
    hands.move(1)
    assert clock.elapsed() == 80


def test_the_agenda_gives_what_is_due_in_order_and_tells_of_a_new_first() -> None:
    agenda: Agenda[str] = Agenda()
    told: list[int] = []
    agenda.on_sooner = lambda: told.append(len(agenda))
    for due, thing in [(5, "c"), (1, "a"), (9, "d"), (1, "b")]:
        agenda.put(due, thing)
    assert told == [1, 2]
    assert agenda.next_due() == 1
    assert agenda.take(5) == ["a", "b", "c"]
    assert agenda.take(5) == []
    assert agenda.next_due() == 9


def test_days_months_and_nights_are_those_of_vietnam() -> None:
    def at(text: str) -> float:
        return datetime.fromisoformat(text).timestamp()

    assert vietnam_day(at("2026-11-23T16:59:59+00:00")) + 1 == vietnam_day(at("2026-11-23T17:00:00+00:00"))
    assert vietnam_month(at("2026-11-30T17:00:00+00:00")) == (2026, 12)
    nights = {"21:59:59": False, "22:00:00": True, "05:59:59": True, "06:00:00": False}
    assert {each: is_night(at(f"2026-11-23T{each}+07:00")) for each in nights} == nights


def test_times_are_told_in_utc_with_z() -> None:
    assert text_of(NOON + 0.25) == "2026-11-23T05:00:00.250Z"
    assert text_of(None) is None
    assert datetime.fromtimestamp(NOON, UTC).hour == 5
