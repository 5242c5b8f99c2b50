from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from cxreport.errors import UnreadableFileError
from cxreport.output.render import render
from cxreport.types import Failure, Outcome, PlannedTag, Position, Report, Study, TagResult, View, ViewInfo

REPORT = Report(
    study=Study(
        id="1f2e3d",
        sources=("studies/a.dcm", "studies/b.dcm"),
        view=View(ViewInfo("studies/a.dcm", 0, Position.PA), np.zeros((2, 2), np.uint8)),
        other_views=(ViewInfo("studies/b.dcm", 0, Position.LATERAL),),
    ),
    tags=(
        TagResult("Cardiomegaly", 0.614, True),
        TagResult("Effusion", 1.0, True),
        TagResult("Pleural_Thickening", 0.02, False),
    ),
    plan=(PlannedTag("cardiomegaly", 0.7),),
    findings=(
        "The heart is enlarged.",
        "There is a pleural effusion.",
        "No pneumothorax is seen in either of the lungs, and the bones are without acute change.",
    ),
    impression=(
        "Cardiomegaly.",
        "Pleural effusion; the lungs are otherwise without a focal opacity or a pneumothorax.",
    ),
    warnings=("No View Position: taken as frontal.",),
)
FAILURE = Failure("bad[1].dcm", ("studies/bad[1].dcm",), UnreadableFileError("studies/bad[1].dcm: truncated."))


def drawn(outcome: Outcome, width: int = 80, encoding: str = "utf-8", **settings) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(file=stream, width=width, **{"color_system": None, "_environ": {}} | settings)
    console.print(render(outcome, console))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_text_at_80_columns(golden, encoding: str) -> None:
    outcomes = (REPORT, replace(REPORT, findings=(), impression=(), warnings=()), FAILURE)
    golden(f"panels-{encoding}.txt", "\n".join(drawn(outcome, encoding=encoding) for outcome in outcomes))


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
        drawn(replace(REPORT, tags=(TagResult("Mass", p, False),))).count("━") for p in (0.0, 0.02, 0.05, 0.5, 1.0)
    ]
    assert filled == [0, 0, 1, 10, 20]
