from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from made_reports import made_sentences, stating
from rich.console import Console

from cxreport.errors import UnreadableFileError
from cxreport.output.render import render
from cxreport.types import Failure, Outcome, PlannedTag, Position, Report, Section, Study, TagResult, View, ViewInfo

REPORT = Report(
    study=Study(
        id="1f2e3d",
        sources=("studies/a.dcm", "studies/b.dcm"),
        view=View(ViewInfo("studies/a.dcm", 0, Position.PA), np.zeros((2, 2), np.uint8)),
        other_views=(ViewInfo("studies/b.dcm", 0, Position.LATERAL),),
    ),
    tags=(
        TagResult("Cardiomegaly", 0.614, True, "Cardiomegaly"),
        TagResult("Effusion", 1.0, True, "Pleural Effusion"),
        TagResult("Pleural_Thickening", 0.02, False),
    ),
    plan=(PlannedTag("Cardiomegaly", 0.7),),
    sentences=(
        stating("The heart is enlarged.", Cardiomegaly=0.7),
        stating("There is a pleural effusion.", Pleural_Effusion=0.98),
        *made_sentences(("No pneumothorax is seen in either of the lungs, and the bones are without acute change.",)),
        stating("Cardiomegaly.", Section.IMPRESSION, Cardiomegaly=0.7),
        stating(
            "Pleural effusion; the lungs are otherwise without a focal opacity or a pneumothorax.",
            Section.IMPRESSION,
            Pleural_Effusion=0.98,
        ),
    ),
    warnings=("No View Position: taken as frontal.",),
)
FAILURE = Failure("bad[1].dcm", ("studies/bad[1].dcm",), UnreadableFileError("studies/bad[1].dcm: truncated."))


def drawn(outcome: Outcome, width: int = 80, encoding: str = "utf-8", plain: bool = False, **settings) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(file=stream, width=width, **{"color_system": None, "_environ": {}} | settings)
    console.print(render(outcome, console, plain))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_text_at_80_columns(golden, encoding: str) -> None:
    outcomes = (REPORT, replace(REPORT, sentences=(), warnings=()), FAILURE)
    golden(f"panels-{encoding}.txt", "\n".join(drawn(outcome, encoding=encoding) for outcome in outcomes))


@pytest.mark.parametrize("width", range(34, 60))
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_narrow_terminals_have_dots_and_figures(width: int, encoding: str) -> None:
    text = drawn(REPORT, width, encoding)
    dot = "*" if encoding == "ascii" else "●"
    assert re.search(rf"{re.escape(dot)} Cardiomegaly +0\.61", text)
    assert re.search(r"Pleural Thickening +0\.02", text)
    assert "…" not in text
    assert max(map(len, text.splitlines())) == width


def test_what_was_done_to_the_pixels_is_shown() -> None:
    info = ViewInfo("studies/a.dcm", 0, Position.PA, changes=("Mirrored to stand upright.",))
    turned = replace(REPORT, study=replace(REPORT.study, view=View(info, np.zeros((2, 2), np.uint8))))
    assert "Mirrored to stand upright." in drawn(turned)


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize("outcome", [REPORT, FAILURE])
def test_every_line_fits_and_ends_at_the_border(outcome: Outcome, width: int) -> None:
    assert {len(line) for line in drawn(outcome, width).splitlines()} == {min(width, 100)}


def test_colour_is_decoration() -> None:
    coloured = drawn(REPORT, color_system="truecolor", force_terminal=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == drawn(REPORT)


def test_nothing_bright_for_light_terminals() -> None:
    for outcome in (REPORT, FAILURE):
        codes = re.findall(r"\x1b\[([\d;]*)m", drawn(outcome, color_system="truecolor", force_terminal=True))
        assert {code for group in codes for code in group.split(";")} <= {"0", "1", "2", "31"}


def test_markup_and_control_characters_in_names_are_text() -> None:
    text = drawn(replace(FAILURE, id="[red]x\x1b[2J\n"), color_system="truecolor", force_terminal=True)
    assert "[red]x?[2J?" in text


def test_bars_grow_with_the_probability() -> None:
    filled = [
        drawn(replace(REPORT, tags=(TagResult("Mass", p, False),), sentences=())).count("━")
        for p in (0.0, 0.02, 0.05, 0.5, 1.0)
    ]
    assert filled == [0, 0, 1, 10, 20]


# What is lit


def lit(report: Report) -> dict[str, str]:
    """Text of the rows that have a dot, by their first words, and the legend under ``legend``."""
    rows = re.findall(r"^│ ● (.*?) *│$", drawn(report), re.M)
    names = {re.split(r" +\d|$", row)[0].strip(): row for row in rows[:-1]}
    return names | ({"legend": rows[-1]} if rows else {})


TAGS = (
    TagResult("Mass", 0.5, False, "Lung Lesion"),
    TagResult("Nodule", 0.25, False, "Lung Lesion"),
    TagResult("Effusion", 0.75, True, "Pleural Effusion"),
    TagResult("Rare", 0.9, True),
)


@pytest.mark.parametrize(
    ("sentences", "rows"),
    [
        ((), []),
        (made_sentences(("The lungs are clear.",)), []),
        ((stating("Effusion.", Pleural_Effusion=0.7),), ["Effusion"]),
        ((stating("A mass.", Lung_Lesion=0.4),), ["Mass"]),  # below its threshold, but it is what the report tells
        ((stating("A mass.", Lung_Lesion=0.4), stating("Granuloma.", Granuloma=0.2)), ["Granuloma", "Mass"]),
        ((stating("Fracture.", Fracture=None),), ["Fracture"]),
    ],
)
def test_what_the_report_tells_is_lit_and_nothing_else(sentences, rows: list[str]) -> None:
    found = lit(replace(REPORT, tags=TAGS, plan=(), sentences=sentences))
    assert ("legend" in found) == bool(rows)
    assert found.pop("legend", "told").startswith("told")
    assert sorted(found) == rows


def test_every_positive_finding_of_a_told_tag_is_lit() -> None:
    tags = tuple(replace(tag, positive=True) for tag in TAGS)
    assert sorted(lit(replace(REPORT, tags=tags, sentences=(stating("A mass.", Lung_Lesion=0.4),)))) == [
        *("Mass", "Nodule", "legend"),
    ]


def test_told_tags_without_a_finding_have_a_row_with_their_probability() -> None:
    report = replace(REPORT, tags=TAGS, sentences=(stating("Granuloma.", Granuloma=0.25), stating("x", Fracture=None)))
    rows = lit(report)
    assert rows["Granuloma"] == "Granuloma 0.25 ━━━━━···············"
    assert rows["Fracture"] == "Fracture"


def test_without_text_the_plan_is_lit_and_without_a_plan_the_thresholds() -> None:
    planned = replace(REPORT, tags=TAGS, plan=(PlannedTag("Lung Lesion", 0.4),), sentences=())
    assert sorted(lit(planned)) == ["Mass", "legend"]
    assert lit(planned)["legend"] == "planned"
    unplanned = replace(planned, plan=(), tags=tuple(replace(tag, reported_as=None) for tag in TAGS))
    assert sorted(lit(unplanned)) == ["Effusion", "Rare", "legend"]
    assert lit(unplanned)["legend"] == "at or above its threshold"


# Figures behind the sentences


def test_a_sentence_has_the_probabilities_of_what_it_states_behind_it() -> None:
    both = stating("Effusion and a mass.", Pleural_Effusion=0.75, Lung_Lesion=0.5)
    silent = stating("Fracture.", Fracture=None)
    text = drawn(replace(REPORT, sentences=(both, silent, *made_sentences(("No edema.",)))))
    assert "Effusion and a mass. [0.75, 0.50] Fracture. No edema. " in text


def test_the_figures_are_dim_and_plain_text_has_none() -> None:
    coloured = drawn(REPORT, color_system="truecolor", force_terminal=True)
    assert "\x1b[2m [0.70]\x1b[0m" in coloured
    plain = drawn(REPORT, plain=True)
    assert "The heart is enlarged. There is a pleural effusion. No pneumothorax" in plain
    assert "[" not in plain
    assert "● told in the report; its probability is in brackets  " in drawn(REPORT)
    assert "● told in the report  " in plain
