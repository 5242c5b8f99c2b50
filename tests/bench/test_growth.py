"""Growth of cost: its axes at small sizes, the targets of a large folder, and the drawing of a result."""

from __future__ import annotations

import io
import json
import math
import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from places import ROOT
from rich.console import Console

from cxreport.bench.environment import Environment
from cxreport.bench.growth import folders
from cxreport.bench.growth.entries import measure_entries, write_index
from cxreport.bench.growth.folders import FIRST_RECORD, FOLDERS, MAIN_PROCESS, fill
from cxreport.bench.growth.images import measure_images
from cxreport.bench.growth.points import Growth, GrowthPoint
from cxreport.bench.growth.reports import measure_reports
from cxreport.bench.growth.run import GrowthSizes
from cxreport.bench.processes import WARM_UP, in_fresh_process, measure_rate
from cxreport.bench.result import Benchmark, to_json
from cxreport.bench.tables import render
from cxreport.bench.targets import all_targets
from cxreport.errors import CxreportError, NothingReadableError
from cxreport.model.bundle import load_manifest
from cxreport.model.session import Model
from cxreport.reading.discover import group_files
from cxreport.retrieval.index import Index
from cxreport.retrieval.index_file import IndexFile

SVG = "{http://www.w3.org/2000/svg}"
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "growth_figure.py"))
ENVIRONMENT = Environment("Linux", "A CPU", 2, 2, "3.11", {"cxreport": "0"}, "cpu", "int8", 2, "tiny 0")
GROWTH = (
    Growth(
        FOLDERS,
        (
            GrowthPoint(10_000, {FIRST_RECORD: 0.5, MAIN_PROCESS: 190.0}),
            GrowthPoint(100_000, {FIRST_RECORD: 1.5, MAIN_PROCESS: 260.0, "listing, s": 1.8}),
        ),
    ),
    Growth("entries of an index", (GrowthPoint(1000, {"first search, ms": 0.04}),)),
)


def result(growth: tuple[Growth, ...] = GROWTH) -> Benchmark:
    return Benchmark(ENVIRONMENT, 1, "", growth=growth)


def test_exponents_are_of_the_last_doubling() -> None:
    sizes = (1, 10, 20, 21)
    quadratic = Growth("n", tuple(GrowthPoint(n, {"a, s": 3.0 * max(n, 10) ** 2, "b, s": 1.0}) for n in sizes))
    assert quadratic.exponents == pytest.approx({"a, s": 2.0, "b, s": 0.0})
    assert GROWTH[0].exponents == pytest.approx({FIRST_RECORD: math.log10(3), MAIN_PROCESS: math.log10(260 / 190)})
    assert GROWTH[1].exponents == {}


def test_sizes_grow_together() -> None:
    sizes = GrowthSizes(100_000)
    assert sizes.counts == [10, 100, 1000, 10_000, 100_000]
    assert sizes.megapixels == [0.02, 0.1, 1, 5, 20, 100]
    assert sizes.entries == [1000, 10_000, 100_000, 1_000_000]
    assert GrowthSizes(25).counts == [10, 25]
    assert GrowthSizes(25).megapixels == [0.02]
    assert GrowthSizes(25).entries == [250]


def test_a_large_folder_has_targets() -> None:
    targets = {target.name: target for target in all_targets(result()) if "files" in target.name}
    assert {name: (target.value, target.met) for name, target in targets.items()} == {
        "100,000 files: first record": (1.5, True),
        "100,000 files: main process": (260.0, False),
    }
    assert not [t for t in all_targets(result(())) if "files" in t.name]


def test_tables_have_all_sizes_and_figures() -> None:
    text = io.StringIO()
    Console(file=text, width=100).print(render(result()))
    shown = text.getvalue()
    assert "Growth with files in a folder" in shown
    assert all(cell in shown for cell in ("10,000", "100,000", "190", "260", "1.50", "1.80", "size to the", "0.48"))


def test_a_folder_has_as_many_files_as_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_NAMES_OF_A_FILE", 4)
    fill(tmp_path, 10)
    assert len(group_files([tmp_path], "study")) == 10
    assert len({path.stat().st_ino for path in tmp_path.iterdir()}) == 3


def test_an_index_of_random_entries_is_an_index(tmp_path: Path, tiny_bundle: Path) -> None:
    write_index(tmp_path / "index", load_manifest(tiny_bundle), 30)
    index = Index(IndexFile(tmp_path / "index"))
    assert index.counts == {"report": 30, "image": 0}
    (match, *_) = index.search(index.file.embedding(7)[0], 3)["report"]
    assert (match.id, round(match.similarity, 3)) == ("7", 1.0)
    index.file.check()


def test_what_ends_its_process_is_no_figure() -> None:
    with pytest.raises(CxreportError, match="ended while it was measured"):
        in_fresh_process(os._exit, 3)


@pytest.mark.slow
def test_entries_images_and_reports(tiny_bundle: Path) -> None:
    model = Model.load(tiny_bundle, "cpu")
    entries = measure_entries(model.manifest, [20, 40], 1)
    assert [point.size for point in entries.points] == [20, 40]
    images = measure_images(model, [0.02, 0.05], 1)
    assert {"raw, ms", "png, ms"} <= set(images.points[1].figures)
    with pytest.raises(NothingReadableError, match="megapixel"):
        measure_images(model, [101.0], 1)
    reports = measure_reports(model, 1)
    assert reports is not None
    assert [point.size for point in reports.points] == sorted({point.size for point in reports.points})
    assert {"words, ms", "sentences, ms"} <= set(reports.points[0].figures)


def test_captions_do_not_grow_with_findings() -> None:
    assert measure_reports(Model.load(ROOT / "tests" / "data" / "tiny_captioner", "cpu"), 1) is None


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps no process to some CPUs")
def test_a_rate_needs_every_record(tiny_bundle: Path, tmp_path: Path) -> None:
    arguments, cpus = ["--model", str(tiny_bundle), "--device", "cpu"], sorted(os.sched_getaffinity(0))
    fill(tmp_path, 2 * WARM_UP)
    files = sorted(tmp_path.iterdir())
    assert measure_rate(files, arguments, cpus[:1]) > 0
    with pytest.raises(CxreportError, match="16 of 17 records"):
        measure_rate([*files, files[0]], arguments, cpus[:1])


@pytest.mark.slow
def test_command(run_cli: Callable, tiny_bundle: Path) -> None:
    skipped = [
        word for part in ("stages", "decoding", "kernels", "wall", "eager", "memory") for word in ("--skip", part)
    ]
    bench = ("bench", "--model", tiny_bundle, "--device", "cpu", "--studies", 4, "--size", "96x80", "--mix", "png=1")
    done = run_cli(*bench, "--repeats", 1, *skipped, "--skip", "start", "--growth", "--growth-to", 20, "--json")
    assert done.exit_code == 0, done.stderr
    growth = {axis["of"]: axis for axis in json.loads(done.stdout)["growth"]}
    assert len(growth) == 4  # too few studies for a rate
    assert [point["size"] for point in growth[FOLDERS]["points"]] == [10, 20]
    assert all(value > 0 for axis in growth.values() for point in axis["points"] for value in point["figures"].values())
    check_drawing(list(growth.values()))


def check_drawing(growth: list[dict[str, Any]]) -> None:
    """A point for each figure, inside its panel, with its value in words."""
    panels = SCRIPT["panels"](growth)
    root = ET.fromstring(SCRIPT["drawing"](panels))
    marks = root.findall(f".//{SVG}circle")
    assert len(marks) == sum(len(point["figures"]) for axis in growth for point in axis["points"])
    assert all(0 <= float(mark.attrib["cx"]) <= SCRIPT["WIDTH"] for mark in marks)
    assert all(0 <= float(mark.attrib["cy"]) <= SCRIPT["HEIGHT"] for mark in marks)
    assert len(root.findall(f"{SVG}g")) == len(panels)


def test_the_drawing_has_a_point_for_each_figure() -> None:
    check_drawing(to_json(GROWTH))
    root = ET.fromstring(SCRIPT["drawing"](SCRIPT["panels"](to_json(GROWTH))))
    assert "100,000: 1.5 s" in [title.text for title in root.findall(f".//{SVG}circle/{SVG}title")]
    lines = root.findall(f".//{SVG}polyline")
    (first, *_) = lines
    (x1, y1), (x2, y2) = (tuple(map(float, place.split(","))) for place in first.attrib["points"].split())
    assert x2 > x1
    assert y2 < y1  # more is higher


def test_the_page_gets_drawing_and_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "before\n<!-- growth:begin; made -->\nstale\n<!-- growth:end -->\nafter\n"
    (tmp_path / "speed.md").write_text(page)
    (tmp_path / "result.json").write_text(json.dumps(to_json(result())))
    monkeypatch.setitem(SCRIPT["main"].__globals__, "DOCS", tmp_path)
    assert SCRIPT["main"]([str(tmp_path / "result.json")]) == 0
    text = (tmp_path / "speed.md").read_text()
    assert text.startswith("before\n<!-- growth:begin; made -->\n![Growth of cost](growth.svg)\n")
    assert text.endswith("|\n<!-- growth:end -->\nafter\n")
    assert "| 100,000 | 1.5 | 260 | 1.8 |" in text
    assert "stale" not in text
    first = (tmp_path / "growth.svg").read_bytes()
    SCRIPT["main"]([str(tmp_path / "result.json")])
    assert (tmp_path / "growth.svg").read_bytes() == first
    assert (tmp_path / "speed.md").read_text() == text


def test_the_page_of_the_repository_has_the_marks() -> None:
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert SCRIPT["MARKS"].search(page)
    assert ET.parse(ROOT / "docs" / "growth.svg").getroot().tag == f"{SVG}svg"
