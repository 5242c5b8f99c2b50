"""Tables of certainty: how often each phrase is right, and the errors of each operating point."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from cxreport.evaluate.certainty import CertaintyFigures
from cxreport.evaluate.tables.format import interval, new_table, number
from cxreport.types import Certainty

_PHRASES = {
    Certainty.STATED: "stated flatly",
    Certainty.POSSIBLE: "possible",
    Certainty.ABSENT: "denied",
}
_COLUMNS = ("sens.", "spec.", "PPV", "NPV", "denied sick")


def render_certainty(figures: CertaintyFigures) -> Iterator[Table]:
    """Lay out the figures."""
    judges = list(figures.phrases[0].right)
    table = new_table(
        f"\nHow often each phrase is right, {figures.images} images",
        *("", "statements", *(column for judge in judges for column in (judge, "95 %"))),
    )
    for phrase in figures.phrases:
        cells = (cell for right in phrase.right.values() for cell in (number(right.value), interval(right)))
        table.add_row(_PHRASES[phrase.certainty], str(phrase.statements), *cells)
    yield table
    for point, by_judge in figures.points.items():
        for judge, errors in by_judge.items():
            table = new_table(f"\nWhat reports tell at the operating point {point}, by {judge}", "", "n", *_COLUMNS)
            for name, tag in errors.items():
                told = tag.told
                values = (told.sensitivity, told.specificity, told.ppv, told.npv, tag.denied_sick)
                table.add_row(name, str(tag.positives), *map(number, values))
            yield table
