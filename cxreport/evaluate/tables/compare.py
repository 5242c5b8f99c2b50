"""Tables of a comparison of systems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.compare import SENTENCES, Comparison, SystemFigures
from cxreport.evaluate.tables.format import NONE, interval, new_table, number

_TEXTS = {
    "BLEU-1": "BLEU\n1",
    "BLEU-2": "\n2",
    "BLEU-3": "\n3",
    "BLEU-4": "\n4",
    "METEOR": "\nMETEOR",
    "ROUGE-L": "\nROUGE-L",
    "CIDEr": "\nCIDEr",
    "F1-5 micro": "F1-5\nmicro",
    "F1-14 macro": "F1-14\nmacro",
    "distinct": "\ndistinct",
}
_IMAGES = {
    "F1, labeler micro": "labeler\nF1 micro",
    "F1, labeler macro": "\nmacro",
    "F1, lexicon micro": "lexicon\nF1 micro",
    "F1, lexicon macro": "\nmacro",
    "distinct": "\ndistinct",
}
_WITH_INTERVAL = ("BLEU-4", "ROUGE-L", "F1-5 micro", "F1, labeler micro", "F1, lexicon micro")


def render_comparison(comparison: Comparison) -> Group:
    """Lay out a row of two lines per system: its figures, and below them their intervals; the signature last."""
    images = f"{comparison.own} own, {comparison.stand_ins} standing in"
    tables = (
        _texts(f"Findings against {comparison.reports} Open-I reports; images: {images}", comparison.systems),
        _images(f"Reports of {comparison.images} NIH images against their labels", comparison.systems),
    )
    return Group(*tables, Text(comparison.signature, style="dim", no_wrap=True, overflow="ignore"))


def _texts(title: str, systems: Sequence[SystemFigures]) -> Table:
    table = new_table(f"\n{title}", "\nsystem", *_TEXTS.values())
    for system in systems:
        table.add_row(_name(system), *_cells(system.texts, _TEXTS))
    return table


def _images(title: str, systems: Sequence[SystemFigures]) -> Table:
    table = new_table(f"\n{title}", "\nsystem", *_IMAGES.values(), "\nsentences", "ms per\nstudy")
    for system in systems:
        sentences = f"{system.images[SENTENCES].value:.1f}"
        milliseconds = NONE if system.ms_per_study is None else f"{system.ms_per_study:.0f}"
        table.add_row(_name(system), *_cells(system.images, _IMAGES), sentences, milliseconds)
    return table


def _name(system: SystemFigures) -> str:
    """Architecture and below it the bundle; of a baseline its name."""
    return f"{system.architecture}\n  {system.name}" if system.architecture else system.name


def _cells(figures: dict[str, Figure], metrics: dict[str, str]) -> Iterator[str]:
    for metric in metrics:
        figure = figures.get(metric)
        if figure is None:
            yield NONE
        else:
            yield f"{number(figure.value)}\n{interval(figure)}" if metric in _WITH_INTERVAL else number(figure.value)
