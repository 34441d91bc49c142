"""The table in the code is the contract's table, cell by cell."""

from typing import Final

import pytest

from gateway.core.delivery import NEXT, Cell, Fact, Special, State

# Word for word from the contract, §4, "What can happen to a message".
CONTRACT: Final = """
| | claim | accepted | refused | deferred | uncertain | receipt | silent | expiry | cancel | resend |
|---|---|---|---|---|---|---|---|---|---|---|
| queued | sending | × | × | × | × | delivered, not sent | × | expired | cancelled | 409 |
| sending | × | sent | failed | queued | unknown, or queued° if the mapping resends | delivered | × | = (the answer decides) | 409 | 409 |
| queued° | sending° | sent | failed | queued | = | delivered, not sent | = | back | back | 409 |
| sending° | × | sent | back, error kept | queued° | unknown, no third try | delivered | = | = | 409 | 409 |
| sent | × | =, second msg_id kept | = | = | = | delivered | undelivered | = | 409 | 409 |
| unknown | × | sent (a late answer) | failed, if no other attempt is open | queued, if no other attempt is open | = | delivered | = | = | 409 | queued° |
| delivered | × | =, msg_id and quota filled in | = | = | = | = | = | = | 409 | 409 |
| undelivered | × | = | = | = | = | delivered | = | = | 409 | queued° |
| failed | × | = | = | = | = | delivered | × | = | 409 | queued |
| expired | × | × | × | × | × | delivered | × | = | 409 | queued |
| cancelled | × | × | × | × | × | delivered | × | = | 409 | 409 |
| skipped | × | × | × | × | × | = | × | = | 409 | 409 |
"""
CONDITIONAL: Final[dict[str, Cell]] = {
    "unknown, or queued° if the mapping resends": Special.MAYBE_AGAIN,
    "failed, if no other attempt is open": Special.FAILED_IF_ALONE,
    "queued, if no other attempt is open": Special.QUEUED_IF_ALONE,
}
PLAIN: Final[dict[str, Cell]] = {
    "queued°": State.QUEUED_AGAIN,
    "sending°": State.SENDING_AGAIN,
    "×": Special.NEVER,
    "=": Special.NOTED,
    "409": Special.CONFLICT,
    "back": Special.BACK,
    **{state.value: state for state in State if not state.is_again},
}


def cell_of(text: str) -> Cell:
    """The cell that the contract's words mean: what stands before a comma or a bracket, but for conditions."""
    return CONDITIONAL[text] if text in CONDITIONAL else PLAIN[text.partition(",")[0].partition(" (")[0]]


def written() -> dict[State, dict[Fact, Cell]]:
    """The contract's table, read."""
    header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in CONTRACT.strip().splitlines())
    facts = [Fact(name) for name in header[1:]]
    states = {row[0]: PLAIN[row[0]] for row in rows}
    assert all(isinstance(state, State) for state in states.values())
    return {State(str(states[row[0]])): dict(zip(facts, map(cell_of, row[1:]), strict=True)) for row in rows}


@pytest.mark.parametrize("state", State)
def test_the_row_of_every_state_is_the_contracts(state: State) -> None:
    assert dict(NEXT[state]) == written()[state]


def test_the_table_has_every_state_and_every_fact_in_the_contracts_order() -> None:
    assert list(NEXT) == list(written())
    assert {tuple(row) for row in NEXT.values()} == {tuple(Fact)}


def test_callers_never_see_whether_it_is_a_second_try() -> None:
    assert State.QUEUED_AGAIN.status == "queued"
    assert State.SENDING_AGAIN.status == "sending"
    assert {state.status for state in State} == {state.value for state in State if not state.is_again}


def test_a_message_waits_or_is_being_sent_or_neither_and_never_both() -> None:
    assert {state for state in State if state.is_waiting} == {State.QUEUED, State.QUEUED_AGAIN}
    assert {state for state in State if state.is_sending} == {State.SENDING, State.SENDING_AGAIN}
