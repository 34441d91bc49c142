"""What every keeper of the Journal does with the answers to refreshes: each sentence of its port."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.grant import Grant, Intent
from gateway.ports import Heard, Journal, Write
from gateway.storage import FileJournal, KeyRing, MemoryJournal

from .stage import KEY, Store, after, make_grant

BODY = b'{"access_token": "a", "refresh_token": "r", "expires_in": "90000"}'


def intended(
    account: str = "main", *, generation: int = 1, owner: str = "me", second: float = 0, is_last: bool = False
) -> Grant:
    grant = make_grant(account, generation=generation)
    return msgspec.structs.replace(grant, intent=Intent(owner, after(second), is_last=is_last), presented=1)


@pytest.fixture
def journal(store: Store) -> Journal:
    """An empty journal."""
    return store.journal


def keep(journal: Journal, grant: Grant, body: bytes = BODY) -> Grant:
    """The grant, whose presentation has been answered."""
    journal.open(grant)(200, body)
    return grant


@pytest.mark.parametrize("size", [0, 1, 900, 64 << 10])
@pytest.mark.parametrize("status", [200, 404, 599])
def test_an_answer_of_any_size_is_there_as_it_came(journal: Journal, size: int, status: int) -> None:
    grant, body = intended(), bytes(n % 251 for n in range(size))
    journal.open(grant)(status, body)
    assert journal.read(grant) == Heard(status, body)
    assert journal.read(grant) == Heard(status, body), "reading takes nothing away"


def test_before_an_answer_there_is_none(journal: Journal) -> None:
    grant = intended()
    assert journal.read(grant) is None
    journal.open(grant)
    assert journal.read(grant) is None


@pytest.mark.parametrize(
    "other",
    [
        intended("second"),
        intended(generation=2),
        intended(is_last=True),
        intended(owner="you"),
        intended(second=0.000001),
        make_grant(),
    ],
    ids=["account", "generation", "last", "owner", "later", "none"],
)
def test_an_answer_belongs_to_one_presentation(journal: Journal, other: Grant) -> None:
    keep(journal, intended())
    assert journal.read(other) is None


def test_one_that_was_dropped_is_gone_and_dropping_it_again_does_no_harm(journal: Journal) -> None:
    grant = keep(journal, intended())
    for _ in range(2):
        journal.drop(grant)
        assert journal.read(grant) is None


def test_dropping_one_drops_the_accounts_older_generations_and_nothing_else(journal: Journal) -> None:
    older = [keep(journal, intended(generation=it, owner=f"o{it}", is_last=it == 2)) for it in (1, 2, 3)]
    same = keep(journal, intended(generation=4, owner="you"))
    newer = keep(journal, intended(generation=10, owner="they"))
    other = keep(journal, intended("second"))
    journal.drop(keep(journal, intended(generation=4)))
    assert [journal.read(it) for it in older] == [None] * 3
    assert None not in [journal.read(it) for it in (same, newer, other)]


def test_who_prepares_to_ask_spoils_nothing_for_the_one_who_asks(journal: Journal) -> None:
    asks, waits = intended(owner="one"), intended(owner="other", second=1)
    write = journal.open(asks)
    journal.open(waits)
    write(200, BODY)
    journal.open(intended(owner="other", second=2))
    assert journal.read(asks) == Heard(200, BODY)


def test_the_answer_to_an_earlier_try_is_not_taken_for_that_to_the_next(journal: Journal) -> None:
    refused = keep(journal, intended(), b'{"error": -14002}')
    again = intended(second=30)
    journal.open(again)
    assert (journal.read(again), journal.read(refused)) == (None, None)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "main.1", "a\0b", "ÁO DÀI 🧵", "x" * 5000, "*", "-", "A", "a"]
)
def test_accounts_and_owners_may_be_called_anything(journal: Journal, name: str) -> None:
    plain, strange = keep(journal, intended()), intended(name, owner=name)
    journal.open(strange)(200, b"strange")
    assert journal.read(strange) == Heard(200, b"strange")
    journal.drop(strange)
    assert journal.read(strange) is None
    assert journal.read(plain) == Heard(200, BODY)


def test_without_an_intent_there_is_nothing_to_answer(journal: Journal) -> None:
    with pytest.raises(ValueError, match="belongs to an intent"):
        journal.open(make_grant())
    journal.drop(make_grant())


INTENDED = [
    intended(account, generation=generation, owner=owner, second=second, is_last=second == 2)
    for account in ("main", "second")
    for generation in (1, 2)
    for owner in ("me", "you")
    for second in (0, 1, 2)
]
STEPS = st.lists(st.tuples(st.sampled_from(["open", "write", "drop"]), st.sampled_from(range(len(INTENDED)))))


@given(steps=STEPS)
def test_both_keepers_say_the_same_whoever_opens_writes_and_drops(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("journal")
    journals: list[Journal] = [FileJournal(folder / "answers", KeyRing([KEY])), MemoryJournal()]
    pages: list[dict[int, Write]] = [{}, {}]
    for number, (step, which) in enumerate(steps):
        for journal, page in zip(journals, pages, strict=True):
            if step == "open":
                page[which] = journal.open(INTENDED[which])
            elif step == "write" and which in page:
                page[which](200, str(number).encode())
            elif step == "drop":
                journal.drop(INTENDED[which])
        kept, expected = ([journal.read(it) for it in INTENDED] for journal in journals)
        assert kept == expected
