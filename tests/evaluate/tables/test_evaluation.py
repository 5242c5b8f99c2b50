"""Tables of an evaluation."""

from __future__ import annotations

from captions import mapped_images, sentence_map
from rich.console import Console

from cxreport.evaluate.coco import CocoFigures
from cxreport.evaluate.grounding.words import pointing_game
from cxreport.evaluate.run import Evaluation
from cxreport.evaluate.tables.evaluation import language_table, render
from cxreport.evaluate.text.language import count_language
from cxreport.text.scoring_conventions import SectionTexts


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


def test_language_has_a_table() -> None:
    counts = count_language([SectionTexts("No edema. There is no edema.", ""), SectionTexts("No edema.", "")])
    console = Console(width=100)
    with console.capture() as capture:
        console.print(language_table({"a": counts, "b": counts}))
    rows = {line[:40].strip(): line[40:].split() for line in capture.get().splitlines()}
    assert rows["say something twice in a section"][-4:] == ["1", "(1)", "1", "(1)"]
    assert rows["contradict themselves"][-4:] == ["0", "(0)", "0", "(0)"]
    assert rows["were read"] == ["2", "2"]
