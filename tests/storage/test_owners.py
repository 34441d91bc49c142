"""Whether a process lives is known the moment it dies."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.storage.owners import Owners

_CODE = "import sys; from pathlib import Path; from gateway.storage.owners import Owners\n"
_CODE += "own = Owners(Path(sys.argv[1])); print(own.name, flush=True); sys.stdin.read()"


def locks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.system
def test_one_that_was_killed_is_dead_at_once_and_not_before(tmp_path: Path) -> None:
    own = Owners(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not own.is_dead(name)
        assert not own.is_dead(name), "asking does not take its lock"
        process.kill()
        process.wait(10)
        assert own.is_dead(name)
        assert own.is_dead(name), "also when its file is gone"
    own.close()


def test_one_that_lives_is_not_dead_for_itself_nor_for_others(tmp_path: Path) -> None:
    one, other = Owners(tmp_path), Owners(tmp_path)
    assert [one.is_dead(one.name), one.is_dead(other.name), other.is_dead(one.name)] == [False] * 3
    other.close()
    assert one.is_dead(other.name)
    one.close()


def test_a_gateway_is_known_to_the_others_for_as_long_as_it_lives(tmp_path: Path) -> None:
    command, gateway = Owners(tmp_path, ["one", "two"]), Owners(tmp_path, ["one", "two"], serves=True)
    assert (command.is_served, gateway.is_served) == (True, False)
    assert command.sealing_otherwise("one") == []
    other = Owners(tmp_path)
    gateway.close()
    assert not command.is_served
    for owner in (command, other):
        owner.close()


def test_no_two_have_one_name(tmp_path: Path) -> None:
    owners = [Owners(tmp_path) for _ in range(20)]
    assert len({owner.name for owner in owners}) == 20
    for owner in owners:
        owner.close()


def test_what_dead_ones_left_is_cleared_at_the_next_start_and_what_lives_stays(tmp_path: Path) -> None:
    living = Owners(tmp_path)
    (tmp_path / "1-dead.lock").touch()
    (tmp_path / "2-dead.lock").touch()
    own = Owners(tmp_path)
    assert locks(tmp_path) == sorted([f"{living.name}.lock", f"{own.name}.lock"])
    living.close()
    own.close()
    assert locks(tmp_path) == []


def test_closing_twice_or_after_the_folder_is_gone_does_no_harm(tmp_path: Path) -> None:
    own = Owners(tmp_path / "owners")
    (tmp_path / "owners" / f"{own.name}.lock").unlink()
    (tmp_path / "owners").rmdir()
    own.close()
    own.close()


def test_one_whose_file_we_may_not_read_counts_as_alive(tmp_path: Path) -> None:
    own = Owners(tmp_path)
    (tmp_path / "1-odd.lock").mkdir()
    assert not own.is_dead("1-odd"), "its leases end by themselves"
    own.close()
