"""Explanations in a terminal: half blocks, shades, graphics protocols."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from made_explanation import blob, made_explanation
from rich.console import Console
from rich.text import Text

from cxreport.errors import MissingExtraError
from cxreport.explain import heatmap
from cxreport.output.explanation import terminal_pictures
from cxreport.output.explanation.terminal import render_explanation
from cxreport.output.explanation.terminal_pictures import Blocks, Protocol, Shades, make_painter
from cxreport.output.formats import Graphics


def console(width: int = 80, encoding: str = "utf-8", **settings) -> Console:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    return Console(file=stream, width=width, **{"color_system": None, "_environ": {}} | settings)


def drawn(explanation, where: Console, graphics: Graphics = Graphics.AUTO, width: int = 32) -> str:
    for part in render_explanation(explanation, where, make_painter(graphics, where, width)):
        where.print(part)
    where.file.flush()
    return where.file.buffer.getvalue().decode(where.file.encoding)


COLOUR = {"color_system": "truecolor", "force_terminal": True}


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("settings", [{}, COLOUR, {"encoding": "ascii"}])
def test_every_line_fits(phantoms, width, settings) -> None:
    text = drawn(made_explanation(phantoms), console(width, **settings))
    assert max(len(Text.from_ansi(line)) for line in text.splitlines()) <= width


def test_everything_is_told_without_pictures(phantoms) -> None:
    text = drawn(made_explanation(phantoms, warnings=("Beware.",)), console(), Graphics.NONE)
    assert text.splitlines()[3:] == [
        "",
        "Findings",
        "1. There is a small right pleural effusion.",
        "Pleural Effusion present (right, mild), probability 0.75",
        "(strongest at the lower image left)",
        "2. The heart is enlarged. [added: the decoder left it out]",
        "Cardiomegaly possible, probability 0.50",
        "(strongest at the lower middle)",
        "",
        "Impression",
        "3. Small right pleural effusion & cardiomegaly.",
        "Pleural Effusion present (right, mild), probability 0.75; Lung Lesion absent, no",
        "probability",
        "(strongest at the lower image left)",
        "",
        "Tags asked for",
        "4. Pneumothorax (not planned, probability 0.12)",
        "(strongest at the upper image right)",
        "",
        "Warning: Beware.",
    ]


def test_text_stands_beside_the_picture_or_below_it(phantoms) -> None:
    wide, narrow = (drawn(made_explanation(phantoms), console(width)) for width in (80, 50))
    assert re.search(r"^.{32}  2\. The heart is enlarged\.", wide, re.M)
    assert re.search(r"^2\. The heart is enlarged\.", narrow, re.M)


def test_half_blocks_have_the_colours_of_the_overlay() -> None:
    grey = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)
    where = console(**COLOUR)
    where.print(Blocks(16).overlay(grey, blob(2, 2)))
    where.file.flush()
    cells = re.findall(
        r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m(▀+)", where.file.buffer.getvalue().decode()
    )
    pixels = [[int(value) for value in values[i : i + 3]] for *values, text in cells for _ in text for i in (0, 3)]
    expected = heatmap.overlay(grey, blob(2, 2)).reshape(8, 2, 16, 3).transpose(0, 2, 1, 3).reshape(-1, 3)
    np.testing.assert_array_equal(pixels, expected)


def test_shades_grow_with_the_weight() -> None:
    text = str(Shades(16, ascii_only=True).overlay(np.zeros((8, 8), np.uint8), np.eye(8, dtype=np.float32)))
    lines = text.split("\n")
    assert len(lines) == 8
    assert {len(line) for line in lines} == {16}
    assert lines[0][0] == "@"
    assert lines[0][-1] == " "


@pytest.mark.parametrize("graphics", [g for g in Graphics if g is not Graphics.NONE])
@pytest.mark.parametrize("settings", [{}, COLOUR | {"no_color": True}, COLOUR | {"encoding": "ascii"}])
def test_without_colour_there_are_shades(graphics, settings) -> None:
    assert isinstance(make_painter(graphics, console(**settings), 32), Shades)


def test_auto_draws_blocks_where_the_terminal_cannot_do_better(monkeypatch) -> None:
    where = console(**COLOUR)
    assert isinstance(make_painter(Graphics.AUTO, where, 32), Blocks)

    def absent(_graphics: Graphics) -> None:
        raise ImportError

    monkeypatch.setattr(terminal_pictures, "_renderable", absent)
    assert isinstance(make_painter(Graphics.AUTO, where, 32), Blocks)
    with pytest.raises(MissingExtraError, match="'graphics' extra"):
        make_painter(Graphics.KITTY, where, 32)


@pytest.mark.parametrize(("graphics", "code"), [(Graphics.KITTY, "\U0010eeee"), (Graphics.SIXEL, "\x1bP")])
def test_graphics_protocols(phantoms, capfd, graphics, code) -> None:
    pytest.importorskip("textual_image", reason="the 'graphics' extra is not installed")
    where = console(**COLOUR)
    assert isinstance(make_painter(graphics, where, 16), Protocol)
    text = drawn(made_explanation(phantoms), where, graphics, 16)
    assert code in text
    assert "The heart is enlarged." in text


def test_control_characters_are_text(phantoms) -> None:
    assert "x?[2J" in drawn(made_explanation(phantoms, "x\x1b[2J"), console(**COLOUR))
