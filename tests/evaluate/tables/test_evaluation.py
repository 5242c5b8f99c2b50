"""Tables of an evaluation."""

from __future__ import annotations

from captions import mapped_images, sentence_map
from rich.console import Console

from cxreport.evaluate.coco import CocoFigures
from cxreport.evaluate.grounding.words import pointing_game
from cxreport.evaluate.run import Evaluation
from cxreport.evaluate.tables.evaluation import render


def test_the_pointing_game_has_a_table() -> None:
    figures = CocoFigures(
        name="x",
        split="val",
        metrics="m",
        words="w",
        images=1,
        references=5,
        systems={"model": {}},
        pointing=pointing_game(mapped_images(sentence_map(circle=(0, 1))), 0),
        samples=(),
    )
    console = Console(width=100)
    with console.capture() as capture:
        console.print(render(Evaluation("signed", None, None, figures)))
    text = capture.get()
    assert "Pointing game: 1 words, 1 images" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("the word's map")] == ["1.000"]
