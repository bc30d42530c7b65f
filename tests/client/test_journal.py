from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from client.journal import Journal, JournalIdentity, journal_path, read_journal

IDENTITY = JournalIdentity(root=b"r" * 32, target="/dev/sda1 block 8:1 1000", chunks=1000)


def _written(path: Path, chunks: list[int], identity: JournalIdentity = IDENTITY) -> None:
    journal = Journal(path, identity)
    journal.start()
    journal.add(chunks)
    journal.close()


def test_what_was_added_is_read_again(tmp_path: Path) -> None:
    path = journal_path(tmp_path / "state", "/dev/sda1")
    _written(path, [5, 3, 999])
    assert read_journal(path, IDENTITY) == ([3, 5, 999], None)


def test_a_missing_journal_is_no_news(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none", IDENTITY) == ([], None)


@pytest.mark.parametrize(
    "other",
    [
        replace(IDENTITY, root=b"x" * 32),
        replace(IDENTITY, target="/dev/sda1 block 8:1 2000"),
        replace(IDENTITY, chunks=999),
    ],
)
def test_a_journal_of_something_else_is_ignored_with_a_notice(tmp_path: Path, other: JournalIdentity) -> None:
    _written(tmp_path / "j", [1, 2], other)
    chunks, notice = read_journal(tmp_path / "j", IDENTITY)
    assert chunks == []
    assert notice is not None
    assert "another image or target" in notice


def test_a_torn_record_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "j"
    _written(path, [1, 2, 3])
    path.write_bytes(path.read_bytes()[:-3])
    assert read_journal(path, IDENTITY)[0] == [1, 2]


def test_a_damaged_record_is_left_out_with_a_notice(tmp_path: Path) -> None:
    path = tmp_path / "j"
    _written(path, [1, 2, 3])
    data = bytearray(path.read_bytes())
    data[-12] ^= 1
    path.write_bytes(data)
    chunks, notice = read_journal(path, IDENTITY)
    assert chunks == [1, 3]
    assert notice == "1 records of the journal are damaged and ignored"


@given(flip=st.integers(0, 87), bit=st.integers(0, 7))
def test_a_damaged_header_makes_the_whole_journal_void(
    flip: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    _written(path, [1])
    data = bytearray(path.read_bytes())
    data[flip] ^= 1 << bit
    path.write_bytes(data)
    chunks, notice = read_journal(path, IDENTITY)
    assert chunks == []
    assert notice is not None


@given(rubbish=st.binary(max_size=400))
def test_rubbish_is_never_more_than_a_notice(rubbish: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    path.write_bytes(rubbish)
    assert read_journal(path, IDENTITY)[0] == []


def test_starting_anew_keeps_only_what_was_proven(tmp_path: Path) -> None:
    path = tmp_path / "j"
    _written(path, [1, 2, 3])
    journal = Journal(path, IDENTITY)
    journal.start([2])
    journal.add([7])
    journal.close()
    assert read_journal(path, IDENTITY)[0] == [2, 7]


def test_a_full_disk_stops_the_journal_and_says_so() -> None:
    journal = Journal(Path("/dev/full/j"), IDENTITY)
    journal.start()
    assert journal.trouble is not None
    assert "cannot be resumed" in journal.trouble
    journal.add([1])
    journal.remove()


def test_a_finished_restore_leaves_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, IDENTITY)
    journal.start()
    journal.remove()
    assert not path.exists()
