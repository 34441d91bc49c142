"""What every keeper of the Journal does with the answers to refreshes: each sentence of its port."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.grant import Grant, Intent, RefreshToken
from gateway.ports import Entry, Heard, Journal
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
    entry = journal.open(grant)
    assert entry.begin()
    entry(200, body)
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


def test_what_was_not_asked_is_known_for_good_and_will_not_be_asked(journal: Journal) -> None:
    grant = intended()
    entry = journal.open(grant)
    assert journal.void(grant)
    assert journal.void(grant), "whoever dies before it has said so leaves it to be found by the next"
    assert not entry.begin()
    assert journal.read(grant) is None
    journal.drop(grant)
    assert not journal.void(grant), "without a room nobody can tell"


@pytest.mark.parametrize("is_answered", [False, True])
def test_what_may_have_been_asked_is_not_void(journal: Journal, is_answered: bool) -> None:
    grant = intended()
    entry = journal.open(grant)
    assert entry.begin()
    if is_answered:
        entry(200, BODY)
    assert not journal.void(grant)
    assert journal.read(grant) == (Heard(200, BODY) if is_answered else None)


def test_only_the_presentation_that_was_not_asked_is_void(journal: Journal) -> None:
    keep(journal, intended())
    later = intended(second=1, owner="you")
    journal.open(later)
    assert [journal.void(it) for it in (intended(), make_grant(), intended(generation=2), later)] == [
        *(False, False, False),
        True,
    ]


def test_who_has_no_room_any_more_does_not_ask(journal: Journal) -> None:
    grant = intended()
    entry = journal.open(grant)
    journal.drop(grant)
    assert not entry.begin()


def test_what_was_prepared_before_is_gone_but_for_what_may_be_on_record(journal: Journal) -> None:
    first, second, third = (intended(second=it) for it in range(3))
    for each in (first, second):
        journal.open(each, besides=first.intent)
    assert (journal.void(first), journal.void(second)) == (True, True)
    journal.open(third, besides=first.intent)
    assert (journal.void(first), journal.void(second)) == (True, False)


def test_dropping_one_drops_what_others_of_its_generation_prepared_and_did_not_use(journal: Journal) -> None:
    unused, asking, newer = (
        intended(owner="idle"),
        intended(owner="asks"),
        intended(owner="next", generation=2),
    )
    idle, asks, coming = (journal.open(it) for it in (unused, asking, newer))
    assert asks.begin()
    journal.drop(keep(journal, intended()))
    asks(200, BODY)
    assert journal.read(asking) == Heard(200, BODY)
    assert (idle.begin(), coming.begin()) == (False, True)


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
KINDS = st.sampled_from(["open", "open-besides", "begin", "write", "void", "drop"])
STEPS = st.lists(st.tuples(KINDS, st.sampled_from(range(len(INTENDED)))))


@given(steps=STEPS)
def test_both_keepers_say_the_same_whoever_does_what(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("journal")
    journals: list[Journal] = [FileJournal(folder / "answers", KeyRing([KEY])), MemoryJournal()]
    entries: list[dict[int, Entry]] = [{}, {}]
    for number, (step, which) in enumerate(steps):
        told = [
            taken(step, INTENDED[which], which, str(number).encode(), *each)
            for each in zip(journals, entries, strict=True)
        ]
        assert told[0] == told[1]
        kept = [[journal.read(it) for it in INTENDED] for journal in journals]
        assert kept[0] == kept[1]
    void = [[journal.void(it) for it in INTENDED] for journal in journals]
    assert void[0] == void[1]


def taken(
    step: str, grant: Grant, which: int, body: bytes, journal: Journal, entries: dict[int, Entry]
) -> bool | None:
    """What the journal says to this step."""
    if step == "open":
        entries[which] = journal.open(grant)
    elif step == "open-besides" and which % 3:
        entries[which] = journal.open(grant, besides=INTENDED[which - which % 3].intent)
    elif step == "begin" and which in entries:
        return entries[which].begin()
    elif step == "write" and which in entries:
        entries[which](200, body)
    elif step == "void":
        return journal.void(grant)
    elif step == "drop":
        journal.drop(grant)
    return None


def test_every_answer_to_this_refresh_token_can_be_found_whoever_asked(journal: Journal) -> None:
    keep(journal, intended(owner="stalled"), b"first")
    keep(journal, intended(owner="other", is_last=True), b"last")
    journal.open(intended(owner="dead")).begin()
    journal.open(intended(owner="never asked"))
    keep(journal, intended("second"), b"another account's")
    keep(journal, intended(generation=2, owner="later"), b"another generation's")
    strange = msgspec.structs.replace(intended(owner="strange"), refresh=RefreshToken("another chain's"))
    keep(journal, strange, b"another token's")
    assert sorted(heard.body for heard in journal.late(intended())) == [b"first", b"last"]
    assert [heard.body for heard in journal.late(strange)] == [b"another token's"]
    journal.drop(intended(generation=2, owner="later"))
    assert list(journal.late(intended())) == []
