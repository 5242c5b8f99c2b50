from __future__ import annotations

import csv
import io

import pytest

from cxreport.text.csv_rows import CsvRow, csv_rows

HEADER = CsvRow(1, ["a", "b"])


def rows(*lines: str, multiline: bool) -> list[CsvRow]:
    return list(csv_rows([f"{line}\n" for line in ("a,b", *lines)], multiline=multiline))


@pytest.mark.parametrize("multiline", [False, True])
@pytest.mark.parametrize("opening", ['"open,0.5', 'x,"open', '"a ""b"",c', '"'])
@pytest.mark.parametrize("last", [(), ('y,"q"',), ('"y",q',)], ids=["nothing", "closed later", "closed at once"])
def test_a_quote_without_end_costs_its_line_alone(opening: str, last: tuple[str, ...], multiline: bool) -> None:
    """However many lines follow, and whatever quote among them would close it."""
    others = [f"s{number},0.9" for number in range(1000)]
    found = rows(opening, *others, *last, multiline=multiline)
    assert found[:3] == [HEADER, CsvRow(2, None), CsvRow(3, ["s0", "0.9"])]
    assert [row.cells for row in found[2:1002]] == [[f"s{number}", "0.9"] for number in range(1000)]
    assert len(found) == 1002 + len(last)


def test_cells_of_several_lines() -> None:
    assert rows('x,"two', 'lines"', "y,z", multiline=True) == [
        *(HEADER, CsvRow(3, ["x", "two\nlines"]), CsvRow(4, ["y", "z"])),
    ]
    assert [row.cells for row in rows('x,"two', 'lines"', "y,z", multiline=False)[1:]] == [None, None, ["y", "z"]]


@pytest.mark.parametrize("multiline", [False, True])
def test_other_rows(multiline: bool) -> None:
    lines = ["", '5" tube,1', '"a ""b""",2', "too,many,cells", "few", "z,3"]
    found = [row.cells for row in rows(*lines, multiline=multiline)[1:]]
    assert found == [['5" tube', "1"], ['a "b"', "2"], None, None, ["z", "3"]]


def test_a_row_of_a_megabyte_is_damaged() -> None:
    assert [row.cells for row in rows(f"x,{'y' * (1 << 20)}", "z,1", multiline=True)[1:]] == [None, ["z", "1"]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("multiline", [True, False])
def test_the_header_says_what_separates_cells(separator: str, multiline: bool) -> None:
    rows = [["id", "a,b;c\td", "text"], ["1", "x", 'say "so"'], ["2", ",;", "\t"]]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator, lineterminator="\n").writerows(rows)
    lines = ["\n", *buffer.getvalue().splitlines(keepends=True)]
    assert [row.cells for row in csv_rows(lines, multiline=multiline)] == rows


def test_a_damaged_row_of_another_separator_fails_alone() -> None:
    lines = ["id;text\n", 'a;"open\n', "b;Edema, effusion.\n", "c;x;y\n"]
    assert [row.cells for row in csv_rows(lines, multiline=True)] == [
        ["id", "text"],
        None,
        ["b", "Edema, effusion."],
        None,
    ]
