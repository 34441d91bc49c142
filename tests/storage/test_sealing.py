"""A sealed thing opens under its own label and key, unchanged, and in no other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import CannotOpen
from gateway.storage.sealing import Digests, KeyRing

KEYS = st.binary(min_size=32, max_size=32)
LABELS = st.text(st.characters(codec="utf-8"), max_size=30)
ONE, OTHER = b"1" * 32, b"2" * 32


@given(key=KEYS, label=LABELS, plain=st.binary(max_size=300))
def test_what_was_sealed_opens(key: bytes, label: str, plain: bytes) -> None:
    ring = KeyRing([key])
    assert ring.open(label, ring.seal(label, plain)) == plain


@given(label=LABELS, other=LABELS, plain=st.binary(max_size=50))
def test_under_another_label_it_does_not_open(label: str, other: str, plain: bytes) -> None:
    ring = KeyRing([ONE])
    if label != other:
        with pytest.raises(CannotOpen):
            ring.open(other, ring.seal(label, plain))


@given(plain=st.binary(max_size=50), place=st.integers(0), bit=st.integers(0, 7))
def test_with_any_bit_changed_it_does_not_open(plain: bytes, place: int, bit: int) -> None:
    ring = KeyRing([ONE, OTHER])
    sealed = bytearray(ring.seal("letter:1", plain))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(CannotOpen):
        ring.open("letter:1", bytes(sealed))


@given(plain=st.binary(max_size=50), length=st.integers(0))
def test_cut_short_or_made_longer_it_does_not_open(plain: bytes, length: int) -> None:
    ring = KeyRing([ONE])
    sealed = ring.seal("letter:1", plain)
    for changed in (sealed[: length % len(sealed)], sealed + b"\0"):
        with pytest.raises(CannotOpen):
            ring.open("letter:1", changed)


@given(garbage=st.binary(max_size=100))
def test_garbage_does_not_open(garbage: bytes) -> None:
    with pytest.raises(CannotOpen):
        KeyRing([ONE]).open("letter:1", garbage)


def test_the_first_key_seals_and_all_of_them_open() -> None:
    before, during, after = KeyRing([ONE]), KeyRing([OTHER, ONE]), KeyRing([OTHER])
    assert during.open("x", before.seal("x", b"old")) == b"old"
    assert after.open("x", during.seal("x", b"new")) == b"new"
    with pytest.raises(CannotOpen, match="was one removed or replaced"):
        before.open("x", during.seal("x", b"new"))


def test_two_seals_of_one_thing_are_unlike() -> None:
    ring = KeyRing([ONE])
    assert len({ring.seal("x", b"same") for _ in range(100)}) == 100


def test_what_is_said_of_one_that_does_not_open_names_no_record() -> None:
    ring = KeyRing([ONE])
    for sealed in (b"", ring.seal("letter:other", b"")):
        with pytest.raises(CannotOpen) as caught:
            ring.open("letter:84912345678", sealed)
        assert "letter" in caught.value.detail
        assert "84912345678" not in caught.value.detail


@given(key=KEYS, one=st.binary(max_size=40), other=st.binary(max_size=40))
def test_digests_tell_equal_from_unlike_and_purposes_apart(key: bytes, one: bytes, other: bytes) -> None:
    digests = Digests(key)
    assert (digests("phone", one) == digests("phone", other)) is (one == other)
    assert digests("phone", one) != digests("event", one)
    assert digests("phone", one) != Digests(key[::-1] + b"x")("phone", one)
