"""Collections of written reports: Open-I's XML, JSON Lines and CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxreport.datasets import report_files
from cxreport.types import Failure

XML = """<eCitation><uId id="CXR{0}"/><Abstract>
<AbstractText Label="FINDINGS">Wide heart {0}.</AbstractText>
<AbstractText Label="IMPRESSION">{1}</AbstractText></Abstract></eCitation>"""


def read(*paths: Path) -> list[tuple[str, ...] | str]:
    """Reports as id, findings and impression; failures as their names."""
    return [
        item.id if isinstance(item, Failure) else (item.id, item.findings, item.impression)
        for item in report_files.read_reports(paths)
    ]


def test_folders_of_openi_are_read_in_the_order_of_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "openi" / "ecgen-radiology"
    folder.mkdir(parents=True)
    for number in (10, 9, 2):
        (folder / f"{number}.xml").write_text(XML.format(number, "Wide."))
    for named in (tmp_path / "openi", folder):
        reports, images = report_files.sort_paths([named])
        assert images == [named]
        assert read(*reports) == [(str(n), f"Wide heart {n}.", "Wide.") for n in (2, 9, 10)]


@pytest.mark.parametrize("text", ["<eCitation>", "<html></html>", '<e><uId id="CXR"/></e>'])
def test_xml_that_is_no_report_fails_alone(tmp_path: Path, text: str) -> None:
    bad, good = tmp_path / "1.xml", tmp_path / "2.xml"
    bad.write_text(text)
    good.write_text(XML.format(2, ""))
    assert read(bad, good) == ["1.xml", ("2", "Wide heart 2.", "")]


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        '{"id": 1, "findings": "A  wide\\n heart.", "impression": null}',
        "",
        "[1]",
        '{"study": {"id": "s", "sources": []}, "report": {"findings": "F.", "impression": "I."}, "findings": ["F."]}',
        '{"study": {"id": "t", "sources": []}, "error": {}}',
        '{"id": "x", "text": "Whole."}',
        '{"findings": "Nobody."}',
        '{"id": "y", "findings": 3}',
        '{"id": true, "text": "x"}',
    ]
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode() + b'\n\xff{"id": 2}\n')
    assert read(path) == [
        ("1", "A wide heart.", ""),
        "r.jsonl, line 3",
        ("s", "F.", "I."),
        ("t", "", ""),
        ("x", "Whole.", ""),
        *(f"r.jsonl, line {n}" for n in (7, 8, 9, 10)),
    ]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(
        b'\xef\xbb\xbfId, Findings,impression,other\r\n7,"Wide,\r\nheart.",Wide.,x\r\n8,,,\r\n\r\n9,short\r\n,a,b,c\r\n'
    )
    assert read(path) == [("7", "Wide, heart.", "Wide."), ("8", "", ""), "r.csv, row 6", "r.csv, row 7"]


@pytest.mark.parametrize("header", ["findings,impression", "id,other", "id,text,text", "just a text"])
def test_csv_without_the_columns_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(header + "\n1,2\n")
    assert read(path) == ["r.csv"]


def test_a_file_that_goes_away_is_a_failure(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == ["none"]


def test_images_and_reports_are_told_apart_by_content(tmp_path: Path, phantoms: Path) -> None:
    table = tmp_path / "table.png"
    table.write_text("id,text\n")
    paths = [phantoms / "rle.dcm", table, phantoms / "normal-8bit.png", tmp_path / "none"]
    assert report_files.sort_paths(paths) == ([table], [paths[0], paths[2], paths[3]])
