"""Tables of where the model looks: maps against radiologists' boxes, and the deletion test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.grounding.deletion import Deletion, DeletionFigures
from cxreport.evaluate.grounding.run import Grounding
from cxreport.evaluate.grounding.summary import ACTIVATION, CHANCE, METRICS, MODEL, PRIOR, SENTENCE, BoxFigures
from cxreport.evaluate.tables.format import interval, new_table, number

_TITLES = {"pointing": "Pointing game", "mass ratio": "Mass ratio", "IoU": "IoU"}
_LEGEND = """
Pointing game: share of images where the map's peak is inside the box. Mass ratio: share of the map
inside the box over the box's share of the image. IoU: of the box and what is above a threshold, the
one that is best for the finding on these very boxes: optimistic.
map: of a sentence about the finding, written or not. report: of the report's own sentence, for the
n images before it that have one.
prior: mean box of the finding in all other images. CAM: class activation map of the tag; the head is
"""
_COLUMNS = ("finding", "n", "map", "95 %", "prior", "CAM", "chance", "n", "report", "95 %")


def render_grounding(grounding: Grounding) -> Iterator[RenderableType]:
    """Lay out the sets one after the other, each with a table per metric."""
    for boxed in grounding.sets:
        for metric in METRICS:
            yield _boxes(boxed, metric)
        lead = f"{number(boxed.lead.value)} {interval(boxed.lead)}".strip()
        findings = f"{boxed.ahead} of {len(boxed.findings)} findings"
        yield Text(f"The map points better than the prior in {findings}; mean difference {lead}.")
    yield Text(f"{_LEGEND.rstrip()} {_recovered(grounding)}.")
    if (deletion := grounding.deletion) is not None:
        yield _deletion(deletion)
        yield Text(
            f"n: val images, at most {deletion.most} a finding, {deletion.masked:.0%} of whose patches "
            "are masked.\nmap, CAM: share where the tag's probability falls more than by masking at random. fall: "
            "its mean."
        )


def _recovered(grounding: Grounding) -> str:
    residuals = [error for name, error in grounding.head_residuals.items() if name not in grounding.unrecovered]
    if not residuals:
        return f"not recovered from {grounding.head_images} val images"
    text = f"recovered from {grounding.head_images} val images to {max(residuals):.0e} of what its log odds vary by"
    return f"{text}, but not that of {', '.join(grounding.unrecovered)}" if grounding.unrecovered else text


def _boxes(boxed: BoxFigures, metric: str) -> Table:
    table = new_table(f"\n{_TITLES[metric]}, {boxed.name}: {boxed.images}", *_COLUMNS)
    for finding, maps in boxed.findings.items():
        figures = {kind: map_figures.figures for kind, map_figures in maps.items()}
        table.add_row(finding, *_cells(figures, metric, str(maps[MODEL].pairs), str(maps[SENTENCE].pairs)))
    table.add_row("mean", *_cells(boxed.means, metric, "", ""))
    return table


def _cells(figures: Mapping[str, Mapping[str, Figure]], metric: str, pairs: str, sentences: str) -> Iterator[str]:
    """Cells of a row after its name; ``pairs`` have a map, ``sentences`` of them one of the report's own."""
    model, sentence = figures[MODEL][metric], figures[SENTENCE][metric]
    yield from (pairs, number(model.value), interval(model))
    yield from (number(figures[kind][metric].value) for kind in (PRIOR, ACTIVATION, CHANCE))
    yield from (sentences, number(sentence.value), interval(sentence))


def _deletion(deletion: Deletion) -> Table:
    """Shares of images where masking lowers the probability more than at random, and mean falls."""
    columns = ("finding", "n", "map", "95 %", "CAM", "95 %", "fall: map", "CAM", "random")
    table = new_table("\nDeletion test", *columns)
    for finding, figures in deletion.findings.items():
        table.add_row(finding, *_falls(figures))
    table.add_row("all", *_falls(deletion.overall))
    return table


def _falls(deletion: DeletionFigures) -> Iterator[str]:
    figures = deletion.figures
    yield str(deletion.pairs)
    for name in ("attended", "activation"):
        yield from (number(figures[name].value), interval(figures[name]))
    yield from (number(figures[f"drop {name}"].value) for name in ("attended", "activation", "random"))
