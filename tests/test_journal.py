from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxreport.errors import UsageError
from cxreport.journal import Claim, Journal, Piece, finished, heads_of

SETTINGS = {"bundle": "a", "beam": "1"}


def piece(key: str, start: int = 0, attempt: int = 0, failed: bool = False, alone: bool = True) -> Piece:
    return Piece(key, attempt, failed, alone, start, start + 10, 0)


def write(target: Path, *pieces: Piece) -> Path:
    """Write a journal, and leave it as an interrupted run does."""
    with Claim(target) as claim:
        journal = Journal(claim, SETTINGS)
        journal.heads = ("[", ",")
        for one in pieces:
            journal.add(one)
        return claim.path


def read(target: Path, settings: dict[str, str] = SETTINGS) -> Journal:
    with Claim(target) as claim:
        return Journal(claim, settings)


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    pieces = [piece("a"), piece("b", 10, failed=True), piece("c", 20, alone=False)]
    write(tmp_path / "x", *pieces)
    journal = read(tmp_path / "x")
    assert (journal.pieces, journal.heads, journal.attempt, journal.differing) == (pieces, ("[", ","), 1, [])


def test_pieces_of_other_settings_are_of_no_use(tmp_path: Path) -> None:
    write(tmp_path / "x", piece("a"))
    journal = read(tmp_path / "x", {"bundle": "a", "beam": "2", "force": "True"})
    assert (journal.pieces, journal.differing) == ([], ["beam", "force"])


LINES = [
    "not json",
    "{}",
    "[]",
    "null",
    "[" * 50_000,
    json.dumps(["k", 0, False, True, 10, 5, 0, ""]),
    json.dumps(["k", 0, False, True, -1, 5, 0, ""]),
    json.dumps(["k", 0, False, True, 1.5, 5, 0, ""]),
    json.dumps(["k", "0", False, True, 0, 5, 0, ""]),
    json.dumps(piece("torn"))[:-4],
    "x" * 100_000,
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_damaged_line_ends_the_journal(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "x", piece("a"))
    with path.open("a") as stream:
        stream.write(f"{line}\n{json.dumps(piece('b', 10))}\n")
    assert [one.key for one in read(tmp_path / "x").pieces] == ["a"]


@pytest.mark.parametrize("header", [*LINES[:5], '{"journal": 2}', '{"journal": 1, "settings": [], "heads": ["", ""]}'])
def test_a_damaged_header_is_no_journal(tmp_path: Path, header: str) -> None:
    path = write(tmp_path / "x", piece("a"))
    path.write_text("\n".join([header, *path.read_text().splitlines()[1:]]) + "\n")
    assert read(tmp_path / "x").pieces == []


def test_what_is_cut_off_is_written_over(tmp_path: Path) -> None:
    path = write(tmp_path / "x", piece("a"), piece("b", 10))
    with path.open("a") as stream:
        stream.write('["torn')
    with Claim(tmp_path / "x") as claim:
        journal = Journal(claim, SETTINGS)
        journal.keep(lambda one: one.key != "b")
        journal.add(piece("c", 10, attempt=1))
    assert [one.key for one in read(tmp_path / "x").pieces] == ["a", "c"]


def test_a_place_is_claimed_once(tmp_path: Path) -> None:
    with Claim(tmp_path / "x"), pytest.raises(UsageError, match="another run writes to it"):
        Claim(tmp_path / "x")
    assert not list(tmp_path.iterdir())
    Claim(tmp_path / "x").release()


@pytest.mark.parametrize(
    ("pieces", "done"),
    [
        ([piece("a"), piece("b")], {"a", "b"}),
        ([piece("a", failed=True), piece("b")], {"b"}),
        ([piece("a", alone=False)], set()),  # failures of some of its files may have been to come
        ([piece("a", alone=False), piece("b")], {"a", "b"}),
        ([piece("a", alone=False), piece("a", failed=True, alone=False), piece("b")], {"b"}),
        ([piece("a", failed=True), piece("b"), piece("a", attempt=1)], {"a", "b"}),
        ([piece("a", alone=False), piece("a", attempt=1, alone=False), piece("b", attempt=1)], {"a", "b"}),
        ([piece("a", alone=False), piece("b"), piece("a", attempt=1, failed=True)], {"b"}),
    ],
)
def test_a_study_is_done_if_its_last_attempt_is(pieces: list[Piece], done: set[str]) -> None:
    assert finished(pieces).keys() == done


def test_only_the_last_attempt_counts() -> None:
    first, last = piece("a", 0, alone=False), piece("a", 30, attempt=1)
    assert finished([first, piece("b", 10), last])["a"] == [last]


@pytest.mark.parametrize(
    ("first", "other", "heads"),
    [("a", "a", ("", "")), ("[\n{}", ",\n{}", ("[", ",")), ("h\nrow", "row", ("h\n", "")), ("x", "\nx", ("", "\n"))],
)
def test_heads_are_what_differs(first: str, other: str, heads: tuple[str, str]) -> None:
    assert heads_of(first, other) == heads


@pytest.mark.parametrize("content", ["mine", "mine\n", '{"a": 1}\n', '{"journal": 2, "settings": {}}\n'])
def test_a_file_that_is_only_called_so_stays(tmp_path: Path, content: str) -> None:
    with Claim(tmp_path / "x") as claim:
        claim.stream.write(content.encode())
        with pytest.raises(UsageError, match="is no journal of this version"):
            Journal(claim, SETTINGS).require_own()


@pytest.mark.parametrize("content", ["", "{", '{"journal": 1, ', '{"journal": 1, "settings": {"bundle": "a'])
def test_a_torn_journal_is_one_of_its_own(tmp_path: Path, content: str) -> None:
    with Claim(tmp_path / "x") as claim:
        claim.stream.write(content.encode())
        journal = Journal(claim, SETTINGS)
        journal.require_own()
        assert (journal.found, journal.pieces) == (False, [])


def test_a_journal_begins_before_the_output(tmp_path: Path) -> None:
    with Claim(tmp_path / "x") as claim:
        journal = Journal(claim, SETTINGS)
        journal.heads = ("[", ",")
        journal.begin()
        journal.begin()
    begun = read(tmp_path / "x")
    assert (begun.found, begun.pieces, begun.heads) == (True, [], ("[", ","))
