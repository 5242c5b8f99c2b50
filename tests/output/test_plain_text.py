from __future__ import annotations

from pathlib import Path

import pytest
from made_reports import made_sentences

from cxreport import DISCLAIMER
from cxreport.output.plain_text import plain_text
from cxreport.types import Report, Study


def made(findings: tuple[str, ...], impression: tuple[str, ...]) -> Report:
    return Report(Study("s1", ("secret/a.dcm",), None), (), (), made_sentences(findings, impression), ("A warning.",))


def test_it_is_the_sections_and_the_notice_and_nothing_else() -> None:
    text = plain_text(made(("No effusion.", "Normal heart."), ("Normal.",)))
    assert text == f"FINDINGS:\nNo effusion. Normal heart.\n\nIMPRESSION:\nNormal.\n\n{DISCLAIMER}\n"


def test_an_impression_of_several_sentences_is_numbered() -> None:
    assert "\nIMPRESSION:\n1. One.\n2. Two.\n" in f"\n{plain_text(made((), ('One.', 'Two.')))}"


@pytest.mark.parametrize(("findings", "impression"), [(("A.",), ()), ((), ("A.",)), ((), ())])
def test_an_empty_section_has_no_heading(findings: tuple[str, ...], impression: tuple[str, ...]) -> None:
    text = plain_text(made(findings, impression))
    assert ("FINDINGS:" in text, "IMPRESSION:" in text) == (bool(findings), bool(impression))
    assert text.endswith(f"{DISCLAIMER}\n")


def test_it_goes_to_a_terminal_and_to_a_file(generate, phantoms: Path, tmp_path: Path) -> None:
    done = generate(phantoms / "normal-8bit.png", "--format", "plain")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("FINDINGS:\n")
    assert generate(phantoms / "normal-8bit.png", "--out", tmp_path / "A.Plain.TXT").exit_code == 0
    assert (tmp_path / "A.Plain.TXT").read_text() == done.stdout


def test_it_is_labelled_as_its_record_is(generate, run_cli, phantoms: Path, tmp_path: Path) -> None:
    import json

    assert (
        generate(
            *(phantoms / "normal-8bit.png", "--format", "plain", "--format", "jsonl"), "--out", f"{tmp_path}/"
        ).exit_code
        == 0
    )
    labels = [
        json.loads(run_cli("label", tmp_path / f"normal-8bit.png{suffix}").stdout)["labels"]
        for suffix in (".plain.txt", ".jsonl")
    ]
    assert labels[0] == labels[1]


def test_tags_alone_leave_nothing_to_write(generate, phantoms: Path) -> None:
    done = generate(phantoms / "normal-8bit.png", "--format", "plain", "--tags-only")
    assert done.exit_code == 2
    assert "--format plain and --tags-only exclude one another." in done.stderr
