from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from places import SHARED

from cxreport.errors import InvalidTagsError, UsageError
from cxreport.reading.tag_table import read_tag_table
from cxreport.types import Failure, Study

KNOWN = ("Effusion", "Mass", "granuloma")
OPENI = SHARED / "data" / "openi" / "chexnet_predictions.csv"


def read(tmp_path: Path, text: str | bytes) -> list[Study | Failure]:
    path = tmp_path / "table"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_tag_table(path, KNOWN))


def tags(outcomes: list[Study | Failure]) -> dict[str, dict[str, float] | None]:
    return {o.id: None if isinstance(o, Failure) else o.tags for o in outcomes}


def test_csv(tmp_path: Path) -> None:
    (study,) = read(tmp_path, "study,Effusion,granuloma\nA,0.25,1e-3\n")
    assert study == Study("A", (str(tmp_path / "table"),), None, tags={"Effusion": 0.25, "granuloma": 0.001})


def test_json_lines_with_tags_that_differ_by_row(tmp_path: Path) -> None:
    text = '{"uid": 7, "Effusion": 0.5}\n\n{"uid": "8", "Mass": 1}\n'
    assert tags(read(tmp_path, text)) == {"7": {"Effusion": 0.5}, "8": {"Mass": 1.0}}


@pytest.mark.parametrize(
    "text",
    [
        "id,mass,EFFUSION\nA,0.5,1\n",
        "ID;Mass;Effusion\nA;0,5;1\n",
        "Study\tmass\teffusion\nA\t0.5\t1\n",
        'Uid;"Mass";effusion\nA;"0,5";1,0\n',
        'id,Mass,Effusion\nA,"0,5",1\n',
        '{"ID": "A", "mass": 0.5, "Effusion": 1}\n',
    ],
)
def test_tables_of_other_spellings(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"A": {"Mass": 0.5, "Effusion": 1.0}}
    assert tags(read(tmp_path, text)) == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-8-sig"))))
    (study,) = read_tag_table("-", KNOWN)
    assert tags([study]) == expected
    assert study.sources == ("stdin",)


def test_stdin_without_an_id_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Mass\n0\n")))
    with pytest.raises(UsageError, match="stdin: no id column"):
        list(read_tag_table("-", KNOWN))


@pytest.mark.parametrize("header", ["study,Mass,MASS", "study,Study,Mass"])
def test_one_name_in_two_spellings_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(UsageError, match="same name"):
        read(tmp_path, f"{header}\nA,0,0\n")


@pytest.mark.parametrize("start", ["\ufeff", "\n \n", ""])
@pytest.mark.parametrize("text", ["study,Mass\r\nA,0\r\n", '{"study": "A", "Mass": 0}\n'])
def test_byte_order_mark_blank_lines_and_line_ends(tmp_path: Path, start: str, text: str) -> None:
    assert tags(read(tmp_path, start + text)) == {"A": {"Mass": 0.0}}


def test_openi_layout(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = (
        "uid,filename,projection,Effusion,Mass\n"
        "1,a.png,Frontal,0.25,0\n1,b.png,Lateral,1,1\n1,c.png,Frontal,0.75,0.5\n2,d.png,Lateral,1,1\n3,e.png,Frontal,0,0\n"
    )
    assert tags(read(tmp_path, text)) == {"1": {"Effusion": 0.5, "Mass": 0.25}, "3": {"Effusion": 0.0, "Mass": 0.0}}
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path / 'table'}: studies left out because they have no Frontal row: 1"
    ]


@pytest.mark.parametrize("value", ["", "nan", "inf", "-0.1", "1.01", "high"])
def test_bad_csv_values_fail_their_row_only(tmp_path: Path, value: str) -> None:
    bad, good = read(tmp_path, f"study,Effusion,Mass\nA,{value},0\nB,0,0\n")
    assert isinstance(bad, Failure)
    assert isinstance(bad.error, InvalidTagsError)
    assert bad.error.message == "Row 2: no number from 0 to 1 in Effusion."
    assert isinstance(good, Study)


@pytest.mark.parametrize("value", [None, True, "x", [1], {}, float("nan"), 10**400])
def test_bad_json_values_fail_their_row_only(tmp_path: Path, value: object) -> None:
    rows = [{"study": "A", "Mass": value}, {"study": "B", "Mass": 0}]
    assert tags(read(tmp_path, "\n".join(map(json.dumps, rows)))) == {"A": None, "B": {"Mass": 0.0}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("study,Mass\nA,0,0\nB\nC,0\n", {"row 2": None, "row 3": None, "C": {"Mass": 0.0}}),
        ("study,Mass\n,0\n", {"row 2": None}),
        ('{"study": "A", "Mass": 0}\n{"study": \n[1]\n', {"A": {"Mass": 0.0}, "row 2": None, "row 3": None}),
        ('{"study": "A", "Mass": 0}\n{"Mass": 0}\n', {"A": {"Mass": 0.0}, "row 2": None}),
        ('{"study": "A", "Mass": 0}\n{"study": "B"}\n', {"A": {"Mass": 0.0}, "B": None}),
        ("study,Mass\nA," + "9" * 200_000 + "\nB,0\n", {"row 2": None, "B": {"Mass": 0.0}}),
    ],
    ids=["length", "no id", "not an object", "no id, JSON", "no tag", "huge field"],
)
def test_damaged_rows(tmp_path: Path, text: str, expected: dict[str, object]) -> None:
    assert tags(read(tmp_path, text)) == expected


def test_a_study_that_comes_again_later_fails(tmp_path: Path) -> None:
    outcomes = read(tmp_path, "study,Mass\nA,0\nB,0\nA,1\n")
    assert [type(o) for o in outcomes] == [Study, Study, Failure]


def test_unknown_columns_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, '{"study": 1, "Mass": 0, "age": 4}\n{"study": 2, "Mass": 0, "age": 4}\n')
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("passed over: age")


@pytest.mark.parametrize(
    "text", ["", "study,age\nA,4\n", "Mass\n0\n", "study,Mass,Mass\nA,0,0\n", '{"study": "A"}\n', b"\xff\xd8\xff\x00"]
)
def test_not_a_table_of_tags(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        read(tmp_path, text)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        list(read_tag_table(tmp_path / "none.csv", KNOWN))


def test_rows_come_while_the_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("study,Mass\n" + "".join(f"{n},0\n" for n in range(100_000)))
    rows = read_tag_table(path, KNOWN)
    assert next(rows).id == "0"
    rows.close()


@pytest.mark.skipif(not OPENI.exists(), reason="needs ../shared/data/openi")
def test_chexnet_predictions_as_they_are() -> None:
    import csv

    with OPENI.open() as stream:
        frontal = [row for row in csv.DictReader(stream) if row["projection"] == "Frontal"]
    studies = list(read_tag_table(OPENI, set(frontal[0]) - {"uid", "filename", "projection"}))
    assert [s.id for s in studies] == list(dict.fromkeys(row["uid"] for row in frontal))
    assert all(isinstance(s, Study) and len(s.tags) == 14 for s in studies)
