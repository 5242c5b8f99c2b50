from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import records, timeless
from PIL import Image

from cxreport.drafting import pipeline
from cxreport.output.formats import FORMATS
from cxreport.types import Outcome

OPENI_HEADER = "uid,filename,projection,Atelectasis,Cardiomegaly,Effusion"

OF_PICTURES = [row.name for row in FORMATS.values() if not (row.needs_header or row.of_one_study)]


PHANTOM_FILES = 8


PHANTOM_STUDIES = 7


# Input


def test_example(generate) -> None:
    pytest.importorskip("data_store", reason="needs pydicom-data")
    (record,) = records(generate("--example", "--json").stdout)
    assert record["study"]["views"]["used"][0]["position"] == "PA"


def test_paths_from_stdin_keep_their_place(generate, phantoms) -> None:
    names = ["rle.dcm", "explicit-le.dcm"]
    stdin = "".join(f"{phantoms / name}\n" for name in names) + "\n"
    found = records(generate("--json", phantoms / "normal-8bit.png", "-", stdin=stdin).stdout)
    assert [Path(record["study"]["sources"][0]).name for record in found] == ["normal-8bit.png", *names]


def test_views_used_and_not_used(generate, phantoms) -> None:
    (record,) = records(generate("--json", *phantoms.glob("j2k-*.dcm")).stdout)
    assert [view["position"] for view in record["study"]["views"]["used"]] == ["PA"]
    assert [view["position"] for view in record["study"]["views"]["not_used"]] == ["LATERAL"]


def test_limits_and_force_reach_the_reader(generate, phantoms) -> None:
    (record,) = records(generate("--json", "--max-megapixels", "0.01", phantoms / "rle.dcm").stdout)
    assert record["error"]["code"] == "too-large"
    lateral = phantoms / "j2k-lateral.dcm"
    assert records(generate("--json", lateral).stdout)[0]["error"]["code"] == "no-frontal-view"
    assert "findings" in records(generate("--json", "--force", lateral).stdout)[0]


def test_pixels_of_something_else_are_refused_without_force(generate, tmp_path) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (32, 32), np.uint8)).save(path)
    result = generate("--json", path)
    assert result.exit_code == 3
    (record,) = records(result.stdout)
    assert record["error"]["code"] == "not-a-chest-radiograph"
    assert "--force" in record["error"]["hint"]
    (record,) = records(generate("--json", "--force", path).stdout)
    assert any("does not look like" in warning for warning in record["warnings"])


def test_folders_as_studies(generate, phantoms, tmp_path) -> None:
    for name in ("normal-8bit.png", "large-heart-16bit.png"):
        shutil.copy(phantoms / name, tmp_path)
    assert len(records(generate("--json", tmp_path).stdout)) == 2
    assert len(records(generate("--json", "--group-by", "folder", tmp_path).stdout)) == 1


def test_tag_table(generate, full_table) -> None:
    result = generate("--json", "--from-tags", full_table)
    assert result.exit_code == 0
    found = records(result.stdout)
    assert [record["study"]["id"] for record in found] == ["A", "B"]
    assert found[0]["tags"][0]["probability"] == 0.9
    assert found[0]["study"]["views"] == {"used": [], "not_used": []}
    matched = records(generate("--json", "--from-tags", full_table, "--evidence", "head").stdout)
    assert matched[0]["tags"] == found[0]["tags"]


def test_openi_table_with_bad_rows(generate, tmp_path) -> None:
    table = tmp_path / "t.csv"
    rows = ["1,a,Frontal,0.2,0.9,0.1", "1,b,Lateral,1,1,1", "2,c,Frontal,0.2,x,0.1", "3,d,Lateral,1,1,1"]
    table.write_text("\n".join([OPENI_HEADER, *rows]))
    result = generate("--json", "--from-tags", table)
    assert result.exit_code == 6
    done, failed = records(result.stdout)
    assert done["study"]["id"] == "1"
    assert failed["error"]["message"] == "Row 4: no number from 0 to 1 in Cardiomegaly."
    assert "studies left out because they have no Frontal row: 1" in result.stderr


def test_table_without_tags_is_a_usage_error(generate, tmp_path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("study,age\nA,4\n")
    result = generate("--from-tags", table)
    assert result.exit_code == 2
    assert "no column is a tag of the bundle" in result.stderr


# Output


def test_json_golden(generate, phantoms, golden, monkeypatch) -> None:
    monkeypatch.chdir(phantoms.parent)
    text = generate("--json", "phantoms").stdout
    golden("generate.jsonl", "".join(json.dumps(record) + "\n" for record in timeless(text)))


def test_text_golden(generate, phantoms, golden, monkeypatch) -> None:
    monkeypatch.chdir(phantoms.parent)
    golden("generate.txt", generate("phantoms/j2k-pa.dcm", "phantoms/j2k-lateral.dcm", "none.dcm").stdout)


def test_the_same_from_run_to_run_and_in_any_batch(generate, phantoms) -> None:
    runs = [timeless(generate("--json", "--batch-size", size, phantoms).stdout) for size in (1, 3, 8, 8)]
    assert all(run == runs[0] for run in runs)


def test_formats_agree(generate, phantoms) -> None:
    lines = timeless(generate("--format", "jsonl", phantoms).stdout)
    array = json.loads(generate("--format", "json", phantoms).stdout)
    assert [{k: v for k, v in record.items() if k not in ("timing_ms", "drafted_at")} for record in array] == lines
    text = generate(phantoms).stdout
    assert all(record["study"]["id"] in text for record in lines)
    assert "\x1b" not in text


def test_quiet_leaves_stderr_empty(generate, phantoms, bad) -> None:
    result = generate("--json", "--quiet", phantoms, bad)
    assert result.stderr == ""
    assert result.exit_code == 6


def test_tags_only(generate, phantoms) -> None:
    for record in records(generate("--json", "--tags-only", phantoms).stdout):
        assert record["findings"] == record["impression"] == record["warnings"] == []
        assert record["tags"]


@pytest.mark.parametrize(("threshold", "positive"), [(0, {True}), (1, {False})])
def test_threshold(generate, phantoms, threshold, positive) -> None:
    (record,) = records(generate("--json", "--tags-only", "--threshold", threshold, phantoms / "rle.dcm").stdout)
    assert {tag["positive"] for tag in record["tags"]} == positive
    assert bool(record["plan"]) == (threshold == 0)


def test_beam(generate, phantoms) -> None:
    assert len(records(generate("--json", "--beam", 3, phantoms / "rle.dcm").stdout)) == 1


def test_plain_text_has_no_figures_behind_its_sentences(generate, phantoms, tmp_path) -> None:
    arguments = ["--threshold", 0, phantoms / "rle.dcm"]
    (record,) = records(generate("--json", *arguments).stdout)
    stated = [s["probability"] for sentence in record["sentences"] for s in sentence["statements"] if s["probability"]]
    with_figures, plain = generate(*arguments).stdout, generate("--plain", *arguments).stdout
    assert stated
    assert f"[{stated[0]:.2f}]" in with_figures
    assert "[" not in plain
    assert "in brackets" not in plain
    generate("--plain", *arguments, "--out", tmp_path / "out.txt")
    assert "[" not in (tmp_path / "out.txt").read_text()


@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_plain_goes_with_text(generate, format_) -> None:
    result = generate("--plain", "--format", format_, "x.png")
    assert result.exit_code == 2
    assert "--plain goes with --format text." in result.stderr


def test_what_the_panel_lights_is_what_the_record_tells(generate, phantoms) -> None:
    for threshold in (0, 0.2, 1):
        arguments = ["--threshold", threshold, phantoms / "rle.dcm"]
        (record,) = records(generate("--json", *arguments).stdout)
        told = {s["tag"] for x in record["sentences"] for s in x["statements"] if s["assertion"] != "absent"}
        names = {tag["name"].replace("_", " "): tag["reported_as"] for tag in record["tags"]}
        lit = re.findall(r"^│ ● ([A-Za-z ]+?) +0\.\d\d", generate(*arguments).stdout, re.M)
        assert {names.get(name, name) for name in lit} == told


@pytest.mark.parametrize("format_", OF_PICTURES)
def test_out_file(generate, phantoms, tmp_path, format_) -> None:
    out = tmp_path / "out"
    result = generate(phantoms / "rle.dcm", "--tags-only", "--format", format_, "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert out.read_text().startswith({"text": "╭", "json": "[\n", "jsonl": '{"schema'}.get(format_, ""))
    assert out.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("format_", "suffix"), [(row.name, row.suffix) for row in FORMATS.values() if not row.needs_header]
)
def test_out_folder_has_a_file_for_each_study(generate, phantoms, tmp_path, format_, suffix) -> None:
    (tmp_path / "a").mkdir()
    names = ("a/b.png", "b.png", "a_b.png")
    twins = [shutil.copy(phantoms / "normal-8bit.png", tmp_path / name) for name in names]
    out = tmp_path / "made"
    result = generate(*twins, phantoms / "rle.dcm", "--format", format_, "--out", f"{out}/")
    assert (result.exit_code, result.stdout) == (0, "")
    names = sorted(path.name for path in out.iterdir() if path.name != "index.html")
    assert names[:2] == [f"a_b.png{suffix}", f"a_b.png~2{suffix}"]
    assert len(names) == 4


def interrupted(*arguments: object) -> Iterator[Outcome]:
    yield next(GENERATE(*arguments))
    raise KeyboardInterrupt


GENERATE = pipeline.generate


@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_interrupted_file_keeps_valid_results_beside_the_old_ones(
    generate, phantoms, tmp_path, monkeypatch, format_
) -> None:
    monkeypatch.setattr(pipeline, "generate", interrupted)
    out = tmp_path / "out"
    out.write_text("old")
    result = generate(phantoms, "--format", format_, "--out", out)
    assert result.exit_code == 130
    assert out.read_text() == "old"
    assert f"results so far: {out}.partial" in result.stderr
    assert len(json.loads((tmp_path / "out.partial").read_text().join("[]" if format_ == "jsonl" else ["", ""]))) == 1


def test_no_results_leave_no_file(generate, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert generate(tmp_path / "empty", "--out", tmp_path / "out").exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_retrieve_needs_a_format_that_holds_the_nearest_reports(generate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "text", replace(FORMATS["text"], holds_similar=False))
    result = generate("--retrieve", "my.index", "x.png")
    assert result.exit_code == 2
    assert "--retrieve goes with --format json or jsonl or html." in result.stderr


def test_an_operating_point_and_a_threshold_exclude_one_another(generate) -> None:
    result = generate("--operating-point", "sensitive", "--threshold", "0.3", "nothing.png")
    assert result.exit_code == 2
    assert "exclude one another" in result.stderr


def test_an_operating_point_needs_a_bundle_with_limits(generate, phantoms) -> None:
    result = generate("--operating-point", "specific", phantoms / "normal-8bit.png")
    assert result.exit_code == 2
    assert "no limits for the operating point 'specific'" in result.stderr
