from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_explanation import made_explanation

from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.output.pdf import document
from cxreport.types import Report, TagResult

typst = pytest.importorskip("typst", reason="needs the pdf extra")
page = pytest.importorskip("page", reason="needs page-validation")


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


@pytest.fixture
def report(phantoms: Path) -> Report:
    tags = tuple(TagResult(f"Finding_{n}", n / 20, n > 15) for n in range(20))
    return replace(made_explanation(phantoms).report, tags=tags, warnings=("Not upright.",))


def check(content: bytes) -> None:
    """All rules of PDF/UA-1."""
    result = page.validate_pdf_bytes(content, profile=page.ValidationProfile.PDF_UA_1)
    assert result.is_compliant, [(failure.rule_id, failure.message) for failure in result.failures]
    assert result.rules.total == result.rules.passed > 100


def test_it_keeps_to_the_rules(report: Report, manifest: Manifest) -> None:
    check(document.pdf(report, manifest))


def test_a_broken_document_does_not(report: Report, manifest: Manifest) -> None:
    """The check can fail: without its language the document breaks a rule."""
    content = document.pdf(report, manifest).replace(b"/Lang(en)", b"/Lxng(en)").replace(b"/Lang (en)", b"/Lxng (en)")
    assert not page.validate_pdf_bytes(content, profile=page.ValidationProfile.PDF_UA_1).is_compliant


@pytest.mark.parametrize("kind", ["no image", "no sentences", "no tags", "long"])
def test_reports_of_every_kind_keep_to_the_rules(report: Report, manifest: Manifest, kind: str) -> None:
    made = {
        "no image": replace(report, study=replace(report.study, view=None)),
        "no sentences": replace(report, sentences=()),
        "no tags": replace(report, tags=(), warnings=()),
        "long": replace(report, sentences=report.sentences * 20),
    }
    check(document.pdf(made[kind], manifest))


@pytest.mark.parametrize(
    "name",
    [
        "\u041f\u0451\u0442\u0440.png",
        "\u0627\u0644\u0635\u062f\u0631.png",
        "\u80f8\u90e8.png",
        "\ud55c\U0001fac1.png",
        "a\x1b[2J\udce9\u202e.png",
        "#let x = 1 $x$ *b* \\ @a <b>.png",
    ],
    ids=["Cyrillic", "Arabic", "Japanese", "Korean and emoji", "control characters", "markup"],
)
def test_names_of_every_script_keep_to_the_rules(report: Report, manifest: Manifest, name: str) -> None:
    check(document.pdf(replace(report, study=replace(report.study, id=name)), manifest))


def test_letters_without_a_font_are_spelt() -> None:
    assert document._spelt("a\u80f8 \u2013 \u0416.png") == "aU+80F8  \u2013 \u0416.png"


def test_another_report_has_other_bytes(report: Report, manifest: Manifest) -> None:
    contents = {document.pdf(each, manifest) for each in (report, report, replace(report, warnings=()))}
    assert len(contents) == 2


def test_paths_and_dates_are_left_out(report: Report, manifest: Manifest) -> None:
    content = document.pdf(report, manifest)
    assert b"secret" not in content
    assert b"CreationDate" not in content
    assert b"CreateDate" not in content


def test_an_error_of_the_template_is_not_hidden(report: Report, manifest: Manifest, monkeypatch) -> None:
    monkeypatch.setattr(document.parts, "asset", lambda *_: "#missing")
    with pytest.raises(typst.TypstError, match="missing"):
        document.pdf(report, manifest)


def test_the_command_writes_it(generate, phantoms: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.pdf"
    assert generate(phantoms / "normal-8bit.png", "--out", out).exit_code == 0
    check(out.read_bytes())
    done = generate(phantoms / "normal-8bit.png", "--format", "pdf")
    assert (done.exit_code, done.stdout_bytes) == (0, out.read_bytes())
