"""Where the model looks, as tables: maps against radiologists' boxes, and the deletion test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.grounding.deletion import Deletion, DeletionFigures
from cxreport.evaluate.grounding.grounding import Grounding
from cxreport.evaluate.grounding.summary import ACTIVATION, CHANCE, METRICS, MODEL, PRIOR, SENTENCE, PlaceFigures
from cxreport.evaluate.tables.format import interval, new_table, number

_TITLES = {"pointing": "Pointing game", "mass ratio": "Mass ratio", "IoU": "IoU"}
_LEGEND = """
Pointing game: share of images where the map's peak is inside the box. Mass ratio: share of the map
inside the box over the box's share of the image. IoU: of the box and what is above a threshold, the
one that is best for the finding on these very boxes: optimistic.
map: of a sentence about the finding, written or not. told map: of the report's own sentences.
prior: mean box of the finding in all other images. CAM: class activation map of the tag; the head is
"""
_COLUMNS = ("finding", "n", "map", "95 %", "prior", "CAM", "chance", "told", "told map", "95 %")


def render_grounding(grounding: Grounding) -> Iterator[RenderableType]:
    """Lay out the sets one after the other, each with a table per metric."""
    for places in grounding.sets:
        for metric in METRICS:
            yield _places(places, metric)
        lead = f"{number(places.lead.value)} {interval(places.lead)}".strip()
        findings = f"{places.ahead} of {len(places.findings)} findings"
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
    known = [some for name, some in grounding.head_residuals.items() if name not in grounding.unrecovered]
    if not known:
        return f"not recovered from {grounding.head_images} val images"
    text = f"recovered from {grounding.head_images} val images to {max(known):.0e} of what its log odds vary by"
    return f"{text}, but not that of {', '.join(grounding.unrecovered)}" if grounding.unrecovered else text


def _places(places: PlaceFigures, metric: str) -> Table:
    table = new_table(f"\n{_TITLES[metric]}, {places.name}: {places.images}", *_COLUMNS)
    for finding, of in places.findings.items():
        figures = {pointer: some.figures for pointer, some in of.items()}
        table.add_row(finding, *_cells(figures, metric, str(of[MODEL].pairs), str(of[SENTENCE].pairs)))
    table.add_row("mean", *_cells(places.means, metric, "", ""))
    return table


def _cells(figures: Mapping[str, Mapping[str, Figure]], metric: str, pairs: str, told: str) -> Iterator[str]:
    own, sentence = figures[MODEL][metric], figures[SENTENCE][metric]
    yield from (pairs, number(own.value), interval(own))
    yield from (number(figures[pointer][metric].value) for pointer in (PRIOR, ACTIVATION, CHANCE))
    yield from (told, number(sentence.value), interval(sentence))


def _deletion(deletion: Deletion) -> Table:
    """How often masking lowers the probability more than at random, and how much it does."""
    columns = ("finding", "n", "map", "95 %", "CAM", "95 %", "fall: map", "CAM", "random")
    table = new_table("\nDeletion test", *columns)
    for finding, of in deletion.findings.items():
        table.add_row(finding, *_falls(of))
    table.add_row("all", *_falls(deletion.overall))
    return table


def _falls(of: DeletionFigures) -> Iterator[str]:
    yield str(of.pairs)
    for name in ("attended", "activation"):
        yield from (number(of.figures[name].value), interval(of.figures[name]))
    yield from (number(of.figures[f"drop {name}"].value) for name in ("attended", "activation", "random"))
