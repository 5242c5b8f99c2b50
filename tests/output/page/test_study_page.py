from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from headed_reports import headed_report
from html_reader import Reader
from made_explanation import made_explanation

from cxreport import DISCLAIMER
from cxreport.errors import UnreadableFileError
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.output.formats import get_formatter
from cxreport.output.page.study_page import failure_page, study_page
from cxreport.types import Failure, Match, Report, TagResult

BAD = "</script><img src=x onerror=alert(1)>$title{}&"


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


@pytest.fixture(scope="module")
def report(phantoms: Path) -> Report:
    tags = (TagResult("Effusion", 0.75, True, "Pleural Effusion"), TagResult("Hernia", 0.125, False, "Hernia"))
    return replace(made_explanation(phantoms, warnings=("The image is unusual.",)).report, tags=tags)


def without_maps(report: Report) -> Report:
    return replace(report, sentences=tuple(replace(sentence, map=None) for sentence in report.sentences))


def test_it_has_the_report_and_its_evidence(report: Report, manifest: Manifest) -> None:
    text = " ".join(Reader(study_page(without_maps(report), manifest)).text.split())
    for part in (
        *(sentence.text for sentence in report.sentences),
        *("Pleural Effusion present (right, mild), probability 0.75; planned sentence", DISCLAIMER),
        *("Effusion0.75told in the report", "Hernia0.12", "The image is unusual.", "Drafted by tiny 0 ("),
        *("View: PA.", "normal-8bit.png"),
    ):
        assert part in text


def test_it_needs_nothing_from_elsewhere(report: Report, manifest: Manifest) -> None:
    for page in (study_page(report, manifest), study_page(without_maps(report), manifest)):
        read = Reader(page)
        for _, attributes in read.tags:
            assert not {"href", "srcset", "style"} & attributes.keys()
            assert (attributes.get("src") or "data:").startswith("data:")
        assert not [address for address in ("http://", "https://", "url(") if address in page]
        assert "default-src 'none'" in page


def test_only_maps_need_a_script(report: Report, manifest: Manifest) -> None:
    assert "script-src" in study_page(report, manifest)
    assert len(Reader(study_page(report, manifest)).of_class("word")) == 17
    plain = study_page(without_maps(report), manifest)
    assert "script-src" not in plain
    assert "canvas" not in [tag for tag, _ in Reader(plain).tags]


@pytest.mark.parametrize("kind", ["no view", "no pixels"])
def test_without_a_picture_there_are_no_maps(report: Report, manifest: Manifest, kind: str) -> None:
    view = replace(report.study.view, pixels=np.zeros((0, 0), np.uint8)) if kind == "no pixels" else None
    page = study_page(replace(report, study=replace(report.study, view=view)), manifest)
    assert not {"img", "canvas", "button"} & {tag for tag, _ in Reader(page).tags}
    assert report.sentences[0].text in Reader(page).text


def test_a_picture_in_colour_is_shown_grey(report: Report, manifest: Manifest) -> None:
    view = replace(report.study.view, pixels=np.full((32, 32, 3), 90, np.uint8))
    assert "data:image/png" in study_page(replace(report, study=replace(report.study, view=view)), manifest)


def test_texts_are_escaped_and_paths_left_out(report: Report, manifest: Manifest) -> None:
    view = replace(report.study.view, info=replace(report.study.view.info, changes=(BAD,)))
    hostile = replace(
        report,
        study=replace(report.study, id=BAD, view=view),
        tags=(TagResult(BAD, 0.5, True),),
        warnings=(BAD,),
        sentences=tuple(replace(sentence, text=BAD, map=None) for sentence in report.sentences),
        similar=(Match("report", BAD, "secret/x", 0.5, BAD, BAD),),
    )
    failure = Failure(BAD, ("secret/x",), UnreadableFileError(BAD, hint=BAD))
    for page in (study_page(hostile, manifest), failure_page(failure)):
        assert BAD not in page
        assert "<img src=x" not in page
        assert page.count("<script") == page.count("</script>") == 1
        assert "secret" not in page


@pytest.mark.parametrize("name", ["html", "fhir", "hl7"])
def test_documents_that_are_passed_on_name_no_file(tmp_path: Path, manifest: Manifest, name: str) -> None:
    folder = tmp_path / "Doe^Jane"
    folder.mkdir()
    report = headed_report(folder, images=2)
    repeats = f"Counted once, as it repeats an image of the study: {report.study.sources[1]}."
    report = replace(report, warnings=(repeats, "The view is lateral."))
    text = study_page(report, manifest) if name == "html" else get_formatter(name, manifest).piece(report, True)
    if name == "fhir":
        text += "".join(base64.b64decode(data).decode() for data in re.findall(r'"data": ?"([^"]+)"', text))
    assert "The view is lateral." in text
    assert "Doe^Jane" not in text
    assert "Counted once" not in text


def test_a_failure_says_why_and_what_to_do(manifest: Manifest) -> None:
    text = Reader(failure_page(Failure("a.png", ("a.png",), UnreadableFileError("Torn.", hint="Mend it.")))).text
    for part in ("a.png", "No report was drafted", "Torn.", "Mend it.", DISCLAIMER):
        assert part in text


# In a browser


@pytest.fixture
def tab(browser) -> Iterator:
    """A tab without network; errors and refused resources fail the test."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert problems == []
    context.close()


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_the_window(tab, report: Report, manifest: Manifest, tmp_path: Path, width: int) -> None:
    (tmp_path / "a.html").write_text(study_page(report, manifest))
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto((tmp_path / "a.html").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("document.querySelector('img').naturalWidth") == 128
    assert tab.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # the policy lets its style in


def test_a_word_shows_its_map(tab, report: Report, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(study_page(report, manifest))
    tab.goto((tmp_path / "a.html").as_uri())
    tab.keyboard.press("Tab")
    assert "Sentence 1" in tab.inner_text("#caption")
    tab.get_by_text("effusion.", exact=True).first.hover()
    assert "effusion." in tab.inner_text("#caption")
