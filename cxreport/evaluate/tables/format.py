"""Style of all tables: empty tables, and cells of figures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from rich.table import Table

from cxreport.evaluate.bootstrap import Figure

NONE = "-"


def new_table(title: str, *columns: str) -> Table:
    """Empty table whose first column holds names and the others figures."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def interval(figure: Figure, bound: Callable[[float], str] | None = None) -> str:
    """Cell of a 95 % interval, its bounds as `number` or another cell has them; empty where there is none."""
    if figure.low is None or figure.high is None or math.isnan(figure.low):
        return ""
    low, high = map(bound or number, (figure.low, figure.high))
    return f"{low}{' to ' if figure.low < 0 else '-'}{high}"


def number(value: float) -> str:
    """Cell of a value: three places without a leading zero."""
    return NONE if math.isnan(value) else re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}")


def factor(value: float) -> str:
    """Cell of a ratio: two places."""
    return NONE if math.isnan(value) else f"{value:.2f}"
