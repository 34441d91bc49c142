"""The answers' files: what they hold after a fault, who may read them, and how little keeping one costs."""

import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Unavailable
from gateway.ports import Heard
from gateway.storage import FileJournal, KeyRing
from tests.contract.stage import KEY, NOW, make_grant

BODY = b'{"access_token": "canary-access", "refresh_token": "canary-refresh", "expires_in": 90000}'
INTENDED = make_grant().intended("me", NOW)


def journal_in(folder: Path, *keys: bytes) -> FileJournal:
    return FileJournal(folder / "store.db.answers", KeyRing(keys or (KEY,)))


def only_file(folder: Path) -> Path:
    (path,) = (folder / "store.db.answers").iterdir()
    return path


def kept(folder: Path) -> tuple[FileJournal, Path]:
    """A journal with one answer, and that one's file."""
    journal = journal_in(folder)
    journal.open(INTENDED)(200, BODY)
    assert journal.read(INTENDED) == Heard(200, BODY)
    return journal, only_file(folder)


def test_the_room_is_there_before_the_answer_and_an_answer_needs_no_more(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    write = journal.open(INTENDED)
    before = only_file(tmp_path).stat()
    assert before.st_blocks * 512 >= before.st_size == 128 << 10
    write(200, bytes(64 << 10))
    after = only_file(tmp_path).stat()
    assert (after.st_size, after.st_blocks, after.st_ino) == (before.st_size, before.st_blocks, before.st_ino)


def test_a_file_cut_anywhere_is_no_answer(tmp_path: Path) -> None:
    journal, file = kept(tmp_path)
    whole = file.read_bytes()
    end = 4 + int.from_bytes(whole[:4], "big")
    for length in range(end):
        file.write_bytes(whole[:length])
        assert journal.read(INTENDED) is None, length
        file.write_bytes(whole[:length] + bytes(len(whole) - length))
        assert journal.read(INTENDED) is None, length
    file.write_bytes(whole[:end])
    assert journal.read(INTENDED) == Heard(200, BODY)


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_file_with_any_bit_changed_is_no_answer(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    journal, file = kept(tmp_path_factory.mktemp("bits"))
    content = bytearray(file.read_bytes())
    content[place % (4 + int.from_bytes(content[:4], "big"))] ^= 1 << bit
    file.write_bytes(content)
    assert journal.read(INTENDED) is None


@given(content=st.binary(max_size=100))
def test_a_file_of_others_is_no_answer(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    journal, file = kept(tmp_path_factory.mktemp("foreign"))
    file.write_bytes(content)
    assert journal.read(INTENDED) is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_what_is_no_file_is_no_answer_and_keeps_nobody_waiting(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    journal, file = kept(tmp_path)
    file.unlink()
    make(file)
    assert journal.read(INTENDED) is None


def test_an_answer_under_another_key_or_another_name_does_not_open(tmp_path: Path) -> None:
    journal, file = kept(tmp_path)
    assert journal_in(tmp_path, b"o" * 32).read(INTENDED) is None
    again = msgspec.structs.replace(INTENDED, generation=2)
    file.rename(file.with_name(file.name.replace(".1.", ".2.")))
    assert journal.read(again) is None


def test_strangers_files_in_the_folder_stay(tmp_path: Path) -> None:
    journal, file = kept(tmp_path)
    for name in ("README", "a.b.c.d.e", file.name + ".bak"):
        (file.parent / name).write_bytes(b"mine")
    journal.drop(msgspec.structs.replace(INTENDED, generation=9))
    assert journal.reseal() == (0, 0)
    assert sorted(path.name for path in file.parent.iterdir()) == sorted(
        ["README", "a.b.c.d.e", file.name + ".bak"]
    )


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Every write that would make a file longer fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_nothing_is_opened_the_cause_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    with no_file_beyond(100_000), pytest.raises(Unavailable) as caught:
        journal.open(INTENDED)
    assert isinstance(caught.value.__cause__, OSError)
    assert list((tmp_path / "store.db.answers").iterdir()) == []
    kept(tmp_path)


def test_a_folder_that_cannot_be_had_is_the_cause(tmp_path: Path) -> None:
    (tmp_path / "store.db.answers").write_bytes(b"")
    journal = journal_in(tmp_path)
    with pytest.raises(Unavailable) as caught:
        journal.open(INTENDED)
    assert isinstance(caught.value.__cause__, FileExistsError)
    assert journal.read(INTENDED) is None
    journal.drop(INTENDED)


def test_an_answer_that_cannot_be_written_raises_nothing(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    write = journal.open(INTENDED)
    with no_file_beyond(0):
        write(200, BODY)
    assert journal.read(INTENDED) is None
    write(200, BODY)
    only_file(tmp_path).unlink()
    write(200, BODY)
    assert journal.read(INTENDED) is None


def test_files_and_folder_are_this_users_alone_and_hold_nothing_in_clear(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _, file = kept(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert b"canary" not in file.read_bytes()
    assert b"main" not in file.name.encode()


def test_preparing_again_and_again_piles_nothing_up_and_leaves_no_descriptor(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for second in range(200):
        journal.open(make_grant().intended("me", NOW.replace(second=second % 60, minute=second // 60)))
    assert len(list((tmp_path / "store.db.answers").iterdir())) == 1
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_sealed_anew_it_is_the_same_answer_under_the_new_key_alone(tmp_path: Path) -> None:
    old, new = KEY, b"n" * 32
    kept(tmp_path)
    expected_later = make_grant("second").intended("me", NOW)
    write = journal_in(tmp_path).open(expected_later)
    both = journal_in(tmp_path, new, old)
    assert both.reseal() == (1, 0)
    assert both.reseal() == (0, 0)
    assert journal_in(tmp_path, new).read(INTENDED) == Heard(200, BODY)
    write(200, BODY)
    assert both.read(expected_later) == Heard(200, BODY), "room that was only reserved is left alone"
    assert journal_in(tmp_path, b"x" * 32).reseal() == (0, 2)


def test_what_a_kill_left_of_sealing_anew_is_no_answer_and_goes_with_the_rest(tmp_path: Path) -> None:
    _, file = kept(tmp_path)
    file.with_name(file.name + ".new").write_bytes(b"half")
    both = journal_in(tmp_path, b"n" * 32, KEY)
    assert both.reseal() == (1, 0)
    assert both.read(INTENDED) == Heard(200, BODY)
    file.with_name(file.name + ".new").write_bytes(b"half")
    both.drop(INTENDED)
    assert list(file.parent.iterdir()) == []


def test_a_torn_answer_is_not_counted_as_one_that_no_key_opens(tmp_path: Path) -> None:
    _, file = kept(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:60] + bytes(len(whole) - 60))
    assert journal_in(tmp_path, b"n" * 32, KEY).reseal() == (0, 0)


def test_where_the_folder_cannot_be_looked_through_nobody_says_that_nothing_came_late(tmp_path: Path) -> None:
    journal, file = kept(tmp_path)
    file.parent.rename(tmp_path / "away")
    file.parent.write_bytes(b"")
    with pytest.raises(Unavailable) as caught:
        list(journal.late(INTENDED))
    assert isinstance(caught.value.__cause__, NotADirectoryError)


def test_before_the_first_answer_nothing_came_late(tmp_path: Path) -> None:
    assert list(journal_in(tmp_path).late(INTENDED)) == []
