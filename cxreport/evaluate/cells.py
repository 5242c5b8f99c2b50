"""Cells that the tables of figures share."""

from __future__ import annotations

import math

from rich.table import Table

from cxreport.evaluate.bootstrap import Figure

NONE = "-"
"""In place of what was not measured, or is not defined."""


def new_table(title: str, *columns: str) -> Table:
    """A table without lines, its first column to the left and the others to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def interval(figure: Figure) -> str:
    """The 95 % interval; empty without one."""
    if figure.low is None or figure.high is None or math.isnan(figure.low):
        return ""
    return f"{number(figure.low)}-{number(figure.high)}"


def number(value: float) -> str:
    """Three places without a leading zero."""
    return NONE if math.isnan(value) else f"{value:.3f}".replace("0.", ".", 1)
