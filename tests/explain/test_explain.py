from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from made_explanation import blob, made_explanation
from rich.console import Console
from rich.text import Text

from cxreport.drafting import decode, pipeline
from cxreport.drafting.pipeline import GenerateOptions
from cxreport.errors import BundleError, MissingExtraError, UsageError
from cxreport.explain import explain, heatmap
from cxreport.explain.graphics import Graphics
from cxreport.model.bundle import load_manifest
from cxreport.model.session import Model
from cxreport.output import terminal_pictures
from cxreport.output.explain_terminal import render_explanation
from cxreport.output.record import record_schema
from cxreport.output.terminal_pictures import Blocks, Protocol, Shades, make_painter
from cxreport.types import Failure, Position, Study, View, ViewInfo


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


@pytest.fixture
def explain_cli(run_cli, tiny_bundle):
    """Run `cxreport explain` with the tiny bundle on the CPU."""
    return lambda *arguments: run_cli("explain", "--model", tiny_bundle, "--device", "cpu", *arguments)


def study(grey: int = 100) -> Study:
    return Study("a.png", ("a.png",), View(ViewInfo("a.png", 0, Position.PA), np.full((9, 7), grey, np.uint8)))


# The stage


def test_explained_report_is_the_generated_one(model) -> None:
    explanation = explain.explain(model, study())
    (report,) = pipeline.generate(model, [study()])
    shown = explanation.report
    assert (shown.findings, shown.impression, shown.tags) == (report.findings, report.impression, report.tags)
    assert [s.text for s in explanation.sentences] == [*report.findings, *report.impression]
    assert explanation.picture.shape == (model.manifest.image_size,) * 2
    assert explanation.tags == ()
    kinds = ["findings"] * len(report.findings) + ["impression"] * len(report.impression)
    assert explanation.names() == [f"{number:02}-{kind}" for number, kind in enumerate(kinds, start=1)]


def test_a_tag_is_looked_for_whether_planned_or_not(model, monkeypatch) -> None:
    asked = []

    def attend(_model, encoding, plan, tag: int) -> np.ndarray:
        asked.append((tag, encoding.patches is not None, tag in plan.tags))
        return np.eye(4, dtype=np.float32)[1]

    honest, names = explain.encode, model.manifest.reporting_names

    def encode(*arguments) -> list:
        return [replace(e, patch_embeddings=None) for e in honest(*arguments)]  # attention is all there is

    monkeypatch.setattr(decode, "attend", attend)
    monkeypatch.setattr(explain, "encode", encode)
    both, third = (explain.asked_tags(model.manifest, some) for some in ([names[2], names[0]], [names[2]]))
    options = GenerateOptions(threshold=0.0)  # all are planned
    planned = explain.explain(model, study(), options, both).tags
    unplanned = explain.explain(model, study(), GenerateOptions(threshold=1.0), third).tags
    assert asked == [(2, True, True), (0, True, True), (2, True, False)]
    assert [tag.tag for tag in planned] == [names[i] for i in (2, 0)]
    assert [tag.planned for tag in (*planned, *unplanned)] == [True, True, False]
    np.testing.assert_array_equal(planned[0].weights, [[0, 1], [0, 0]])
    assert "(not planned, probability 0." in unplanned[0].text


def test_attention_to_a_tag_sums_to_1(model) -> None:
    asked = explain.asked_tags(model.manifest, model.manifest.reporting_names)
    tags = explain.explain(model, study(), None, asked).tags
    assert len(tags) == 6
    for tag in tags:
        assert tag.weights.shape == (4, 4)
        assert tag.weights.sum() == pytest.approx(1, abs=1e-5)


def test_tags_by_name(model) -> None:
    names = model.manifest.reporting_names
    asked = explain.asked_tags(model.manifest, [names[3].upper(), names[0], names[3], "infiltration"])
    assert [(a.name, a.tag) for a in asked] == [(names[3], 3), (names[0], 0), ("Infiltration", 3)]
    assert [a.text for a in asked] == ["There is a lung opacity.", "There is a pleural effusion.", "Infiltration"]
    with pytest.raises(UsageError, match="no reporting tag 'Anything'") as caught:
        explain.asked_tags(model.manifest, ["Anything"])
    assert names[0] in caught.value.hint


def test_a_failure_is_handed_on(model, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "encode", None)
    assert isinstance(explain.explain(model, study()), Failure)


def test_what_has_no_image_or_no_attention_cannot_be_explained(model, monkeypatch) -> None:
    tags = dict.fromkeys(model.manifest.tag_names, 0.5)
    with pytest.raises(UsageError, match="no image"):
        explain.explain(model, Study("t", ("t",), None, tags=tags))
    honest = pipeline.write_report
    monkeypatch.setattr(pipeline, "write_report", lambda *a, **options: replace(honest(*a, **options), maps=None))
    with pytest.raises(BundleError, match="where its sentences look"):
        explain.explain(model, study())


# In the terminal


def console(width: int = 80, encoding: str = "utf-8", **settings) -> Console:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    return Console(file=stream, width=width, **{"color_system": None, "_environ": {}} | settings)


def drawn(explanation, where: Console, graphics: Graphics = Graphics.AUTO, width: int = 32) -> str:
    for part in render_explanation(explanation, where, make_painter(graphics, where, width)):
        where.print(part)
    where.file.flush()
    return where.file.buffer.getvalue().decode(where.file.encoding)


COLOUR = {"color_system": "truecolor", "force_terminal": True}


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("settings", [{}, COLOUR, {"encoding": "ascii"}])
def test_every_line_fits(phantoms, width, settings) -> None:
    text = drawn(made_explanation(phantoms), console(width, **settings))
    assert max(len(Text.from_ansi(line)) for line in text.splitlines()) <= width


def test_everything_is_told_without_pictures(phantoms) -> None:
    text = drawn(made_explanation(phantoms, warnings=("Beware.",)), console(), Graphics.NONE)
    assert text.splitlines()[3:] == [
        "",
        "Findings",
        "1. There is a small right pleural effusion.",
        "(strongest at the lower image left)",
        "2. The heart is enlarged.",
        "(strongest at the lower middle)",
        "",
        "Impression",
        "3. Small right pleural effusion & cardiomegaly.",
        "(strongest at the lower image left)",
        "",
        "Tags asked for",
        "4. Pneumothorax (not planned, probability 0.12)",
        "(strongest at the upper image right)",
        "",
        "Warning: Beware.",
    ]


def test_text_stands_beside_the_picture_or_below_it(phantoms) -> None:
    wide, narrow = (drawn(made_explanation(phantoms), console(width)) for width in (80, 50))
    assert re.search(r"^.{32}  2\. The heart is enlarged\.", wide, re.M)
    assert re.search(r"^2\. The heart is enlarged\.", narrow, re.M)


def test_half_blocks_have_the_colours_of_the_overlay() -> None:
    grey = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)
    where = console(**COLOUR)
    where.print(Blocks(16).overlay(grey, blob(2, 2)))
    where.file.flush()
    cells = re.findall(
        r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m(▀+)", where.file.buffer.getvalue().decode()
    )
    pixels = [[int(value) for value in values[i : i + 3]] for *values, text in cells for _ in text for i in (0, 3)]
    expected = heatmap.overlay(grey, blob(2, 2)).reshape(8, 2, 16, 3).transpose(0, 2, 1, 3).reshape(-1, 3)
    np.testing.assert_array_equal(pixels, expected)


def test_shades_grow_with_the_weight() -> None:
    text = str(Shades(16, ascii_only=True).overlay(np.zeros((8, 8), np.uint8), np.eye(8, dtype=np.float32)))
    lines = text.split("\n")
    assert len(lines) == 8
    assert {len(line) for line in lines} == {16}
    assert lines[0][0] == "@"
    assert lines[0][-1] == " "


@pytest.mark.parametrize("graphics", [g for g in Graphics if g is not Graphics.NONE])
@pytest.mark.parametrize("settings", [{}, COLOUR | {"no_color": True}, COLOUR | {"encoding": "ascii"}])
def test_without_colour_there_are_shades(graphics, settings) -> None:
    assert isinstance(make_painter(graphics, console(**settings), 32), Shades)


def test_auto_draws_blocks_where_the_terminal_cannot_do_better(monkeypatch) -> None:
    where = console(**COLOUR)
    assert isinstance(make_painter(Graphics.AUTO, where, 32), Blocks)

    def absent(_graphics: Graphics) -> None:
        raise ImportError

    monkeypatch.setattr(terminal_pictures, "_renderable", absent)
    assert isinstance(make_painter(Graphics.AUTO, where, 32), Blocks)
    with pytest.raises(MissingExtraError, match="'graphics' extra"):
        make_painter(Graphics.KITTY, where, 32)


@pytest.mark.parametrize(("graphics", "code"), [(Graphics.KITTY, "\U0010eeee"), (Graphics.SIXEL, "\x1bP")])
def test_graphics_protocols(phantoms, capfd, graphics, code) -> None:
    pytest.importorskip("textual_image", reason="the 'graphics' extra is not installed")
    where = console(**COLOUR)
    assert isinstance(make_painter(graphics, where, 16), Protocol)
    text = drawn(made_explanation(phantoms), where, graphics, 16)
    assert code in text
    assert "The heart is enlarged." in text


def test_control_characters_are_text(phantoms) -> None:
    assert "x?[2J" in drawn(made_explanation(phantoms, "x\x1b[2J"), console(**COLOUR))


# The command


def test_explain(explain_cli, phantoms, tmp_path) -> None:
    result = explain_cli(phantoms / "j2k-pa.dcm", "--explain-tag", "pneumothorax", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "Findings" in result.stdout
    assert "Pneumothorax (not planned" in result.stdout
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Research use only")
    assert lines[1].startswith(f"written: {tmp_path / 'out' / 'index.html'} and ")
    assert len(list((tmp_path / "out").glob("*.png"))) == int(lines[1].split()[-2])


def test_quiet_says_nothing_on_stderr(explain_cli, phantoms, tmp_path) -> None:
    assert explain_cli("-q", phantoms / "normal-8bit.png", "--out", tmp_path).stderr == ""


def test_no_path_and_no_identifier_on_the_page(explain_cli, phantoms, tmp_path) -> None:
    import pydicom

    path = phantoms / "j2k-pa.dcm"
    assert explain_cli(path, "--out", tmp_path).exit_code == 0
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    header = pydicom.dcmread(path)
    for value in (header.StudyInstanceUID, str(header.PatientName), header.PatientID, str(phantoms)):
        assert not value or value not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name one study"),
        (["x.png", "--example"], "Name one study"),
        (["x.png", "--graphics", "oil"], "--graphics"),
        (["x.png", "--explain-tag", "none"], "no reporting tag 'none'"),
        (["x.png", "--width", "2"], "--width"),
    ],
)
def test_2_usage(explain_cli, arguments, message) -> None:
    result = explain_cli(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_2_several_studies(explain_cli, phantoms) -> None:
    result = explain_cli(phantoms)
    assert result.exit_code == 2
    assert "holds several studies" in result.stderr


def test_a_damaged_file_of_the_study_is_a_warning(explain_cli, phantoms, tmp_path) -> None:
    whole = (phantoms / "j2k-pa.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole)
    (tmp_path / "b.dcm").write_bytes(whole[: len(whole) // 2])
    result = explain_cli(tmp_path)
    assert (result.exit_code, "Findings" in result.stdout) == (0, True)


def test_a_reader_that_has_enough_ends_it_quietly(tiny_bundle, phantoms) -> None:
    arguments = ["explain", "--model", tiny_bundle, "--device", "cpu", "--width", "200", phantoms / "normal-8bit.png"]
    started = subprocess.Popen(
        [sys.executable, "-m", "cxreport", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "300"},
    )
    started.stdout.close()
    assert started.wait(60) == 0
    assert b"error" not in started.stderr.read()
    started.stderr.close()


def test_3_unreadable(explain_cli, tmp_path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("not a picture")
    result = explain_cli(bad)
    assert result.exit_code == 3
    assert "error: The file is neither DICOM" in result.stderr
    (tmp_path / "empty").mkdir()
    assert explain_cli(tmp_path / "empty").exit_code == 3


# Records


def test_records_have_maps_only_where_asked(generate, phantoms, tiny_bundle) -> None:
    plain = json.loads(generate("--json", phantoms / "normal-8bit.png").stdout)
    asked = json.loads(generate("--json", "--attention", phantoms / "normal-8bit.png").stdout)
    jsonschema.Draft202012Validator(record_schema()).validate(asked)
    attention = asked.pop("attention")
    assert list(plain) == list(asked)
    assert {k: v for k, v in plain.items() if k != "timing_ms"} == {k: v for k, v in asked.items() if k != "timing_ms"}
    side = load_manifest(tiny_bundle).sizes.patch_embeddings ** 0.5  # finer than the patches that are attended to
    assert (attention["rows"], attention["columns"]) == (side, side)
    assert [s["text"] for s in attention["sentences"]] == asked["findings"] + asked["impression"]
    for sentence in attention["sentences"]:
        assert " ".join(word["word"] for word in sentence["words"]) == sentence["text"]
        for weights in (sentence["weights"], *(word["weights"] for word in sentence["words"])):
            assert np.shape(weights) == (side, side)
            assert np.sum(weights) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.png"], "--attention goes with --format json or jsonl.\nhint: Add --json, or see"),
        (["x.png", "--json", "--tags-only"], "--attention and --tags-only exclude"),
        (["--from-tags", "x.csv", "--json"], "--attention and --from-tags exclude"),
    ],
)
def test_attention_needs_json_an_image_and_sentences(generate, arguments, message) -> None:
    result = generate("--attention", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
