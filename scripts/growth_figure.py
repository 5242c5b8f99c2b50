"""Growth in docs/speed.md and docs/growth.svg, from the JSON of `cxreport bench --growth`.

python scripts/growth_figure.py RESULT.json

A panel for each axis and unit, both scales logarithmic; a line for each figure. The same JSON gives the same files.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

DOCS = Path(__file__).resolve().parent.parent / "docs"
MARKS = re.compile(r"(<!-- growth:begin[^\n]*-->\n).*?(<!-- growth:end -->)", re.DOTALL)
WIDTH, HEIGHT, COLUMNS = 300, 210, 3
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 34, 34
"""Margins of a panel around its plot."""
COLOURS = ("#0b5fa5", "#c2410c", "#15803d", "#7e22ce")
UNITS = {"/s": "studies a second", "MB": "MB", "ms": "ms", "s": "s"}


class Panel(NamedTuple):
    """Figures of one axis that have one unit."""

    of: str
    unit: str
    lines: dict[str, list[tuple[float, float]]]
    """Figure without its unit -> sizes and values."""


class Scale(NamedTuple):
    """Logarithmic scale between two powers of ten, on a stretch of the drawing."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        """Place of a value."""
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Place and label of each power of ten."""
        for power in range(self.low, self.high + 1):
            yield self.at(10.0**power), label(10.0**power)


def main(arguments: Sequence[str]) -> int:
    """Write the drawing and the block of the page."""
    (path,) = arguments
    record = json.loads(Path(path).read_text(encoding="utf-8"))
    (DOCS / "growth.svg").write_text(drawing(panels(record["growth"])), encoding="utf-8")
    page = DOCS / "speed.md"
    text, count = MARKS.subn(lambda marks: f"{marks[1]}{section(record)}{marks[2]}", page.read_text(encoding="utf-8"))
    assert count == 1, "the page has no marks"
    page.write_text(text, encoding="utf-8")
    return 0


def panels(growth: Sequence[dict[str, Any]]) -> list[Panel]:
    """Panels in the order of the axes; figures of 0 have no place on a logarithmic scale."""
    found: dict[tuple[str, str], Panel] = {}
    for axis in growth:
        for point in axis["points"]:
            for figure, value in point["figures"].items():
                name, _, unit = figure.rpartition(", ")
                panel = found.setdefault((axis["of"], unit), Panel(axis["of"], unit, {}))
                if value > 0:
                    panel.lines.setdefault(name, []).append((point["size"], value))
    return list(found.values())


def drawing(content: Sequence[Panel]) -> str:
    """SVG of all panels, in rows of three."""
    rows = -(-len(content) // COLUMNS)
    size = {"viewBox": f"0 0 {COLUMNS * WIDTH} {rows * HEIGHT}", "font-family": "sans-serif", "font-size": "10"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ET.SubElement(svg, "title").text = "Growth of cost"
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    for number, panel in enumerate(content):
        row, column = divmod(number, COLUMNS)
        draw(ET.SubElement(svg, "g", {"transform": f"translate({column * WIDTH} {row * HEIGHT})"}), panel)
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def draw(group: ET.Element, panel: Panel) -> None:
    """Draw one panel: title, key, scales, and a line with a point for each figure."""
    write(group, LEFT, 12, f"{panel.of}: {UNITS.get(panel.unit, panel.unit)}", {"font-weight": "bold"})
    points = [point for line in panel.lines.values() for point in line]
    across = scale([size for size, _ in points], LEFT, WIDTH - RIGHT)
    up = scale([value for _, value in points], HEIGHT - BOTTOM, TOP)
    for place, text in across.ticks():
        rule(group, place, TOP, place, HEIGHT - BOTTOM)
        write(group, place, HEIGHT - BOTTOM + 12, text, {"text-anchor": "middle"})
    for place, text in up.ticks():
        rule(group, LEFT, place, WIDTH - RIGHT, place)
        write(group, LEFT - 4, place + 3, text, {"text-anchor": "end"})
    key = LEFT
    for (name, line), colour in zip(panel.lines.items(), itertools.cycle(COLOURS), strict=False):
        places = [(across.at(size), up.at(value)) for size, value in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        ET.SubElement(group, "polyline", {"points": path, "fill": "none", "stroke": colour, "stroke-width": "1.5"})
        for (x, y), (size, value) in zip(places, line, strict=True):
            mark = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "2.5", "fill": colour}
            circle = ET.SubElement(group, "circle", mark)
            ET.SubElement(circle, "title").text = f"{size:,g}: {value:.3g} {UNITS.get(panel.unit, panel.unit)}"
        write(group, key, 26, name, {"fill": colour})
        key += 6 * len(name) + 10


def scale(values: Sequence[float], start: float, end: float) -> Scale:
    """Scale over the powers of ten around some values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return Scale(low, max(high, low + 1), start, end)


def label(value: float) -> str:
    """Power of ten in few characters: ``.01``, ``10k``, ``1M``."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}".replace("0.", ".", 1)


def write(group: ET.Element, x: float, y: float, text: str, style: dict[str, str]) -> None:
    """Write a text."""
    ET.SubElement(group, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", **style}).text = text


def rule(group: ET.Element, x1: float, y1: float, x2: float, y2: float) -> None:
    """Draw a line of the grid."""
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    ET.SubElement(group, "line", {**ends, "stroke": "#dddddd"})


def section(record: dict[str, Any]) -> str:
    """The block of the page: the drawing, and a table for each axis."""
    environment = record["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    machine = f"{environment['processor'] or environment['system']}, {environment['cpus']} CPUs"
    lines = [
        "![Growth of cost](growth.svg)",
        "",
        f"{machine}; {environment['bundle']}, {environment['precision']}; {versions}.",
    ]
    for axis in record["growth"]:
        names = list(dict.fromkeys(name for point in axis["points"] for name in point["figures"]))
        lines += ["", f"| {axis['of']} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for point in axis["points"]:
            cells = (number(point["figures"][name]) if name in point["figures"] else "" for name in names)
            lines.append(f"| {point['size']:,g} | {' | '.join(cells)} |")
        exponents = axis["exponents"]
        cells = (f"{exponents[name]:.2f}" if name in exponents else "" for name in names)
        lines.append(f"| grows as size to the power of | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Value of three digits and more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
