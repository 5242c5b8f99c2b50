"""The shipped bundle as a user meets it, on real images."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from places import ROOT
from pydicom.data import get_testdata_file

from cxreport.model.bundle import find_bundle, load_manifest, verify_graphs
from cxreport.model.encode import encode
from cxreport.model.precision import load_model
from cxreport.reading.network_input import network_input
from cxreport.reading.study import ReadOptions, read_studies

pytestmark = pytest.mark.slow
SHARED = ROOT.parent / "shared" / "data"
needs_nih = pytest.mark.skipif(not (SHARED / "nih").is_dir(), reason=f"{SHARED / 'nih'} is not here")
needs_openi = pytest.mark.skipif(not (SHARED / "openi").is_dir(), reason=f"{SHARED / 'openi'} is not here")


def real(name: str) -> Path:
    """A real file of pydicom or pydicom-data."""
    found = get_testdata_file(name, download=False)
    assert found, name
    return Path(str(found))


def pixels(name: str) -> np.ndarray:
    """What a real file shows, without its header."""
    (study,) = read_studies([real(name)], ReadOptions(force=True))
    return study.view.pixels


def generate(*arguments: object) -> tuple[int, list[dict]]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "cxreport", "generate", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_bundle_is_whole_and_small():
    folder = find_bundle(None)
    verify_graphs(folder, load_manifest(folder))
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    drafting = sum(sizes.values()) - sizes["text_encoder.onnx"]
    assert drafting <= 52_000_000  # 50 MB, and the encoder's part of the joint space
    assert sum(sizes.values()) <= 60_000_000  # of which the joint space may add 10 MB
    assert "non-commercial" in load_manifest(folder).raw["licence"]


def test_the_int8_bundle_is_small_and_near():
    folder = find_bundle(None)
    float_, int8 = load_manifest(folder), load_manifest(folder / "int8")
    verify_graphs(folder / "int8", int8)
    assert int8.quantised_from == float_.sha256
    assert sum(file.stat().st_size for file in (folder / "int8").iterdir()) <= 30_000_000
    image = [network_input(pixels("RG1_UNCR.dcm"), int8.image_size)]
    models = [load_model(device="cpu", precision=precision) for precision in ("float32", "int8")]
    exact, quantised = (encode(model, image)[0] for model in models)
    changes = [abs(exact.tags[tag] - quantised.tags[tag]) for tag in exact.tags]
    assert 0 < max(changes) <= 0.02
    assert exact.embedding @ quantised.embedding > 0.98


def test_the_lexicon_is_in_both_bundles_and_has_their_tags():
    folder = find_bundle(None)
    float_, int8 = load_manifest(folder), load_manifest(folder / "int8")
    assert float_.lexicon.toml == int8.lexicon.toml == (folder / "lexicon.toml").read_bytes()
    assert float_.reporting_names == float_.lexicon.reporting_tags


def test_raw_and_lossless_forms_of_the_real_radiograph_read_alike():
    records = [generate("--full-resolution", real(name)) for name in ("RG1_UNCR.dcm", "RG1_J2KR.dcm")]
    assert [code for code, _ in records] == [0, 0]
    (raw,), (compressed,) = (found for _, found in records)
    assert raw["findings"]
    assert raw["impression"]
    for key in ("tags", "plan", "findings", "impression"):
        assert raw[key] == compressed[key]


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG1_J2KR.dcm", "RG1_J2KI.dcm"])
def test_fewer_pixels_give_nearly_the_same(name):
    """An average of pixels and a level of wavelets are not quite the same, nor are they all the pixels."""
    (whole,), (shrunk,) = (generate(*options, real(name))[1] for options in (["--full-resolution"], []))
    moved = [abs(a["probability"] - b["probability"]) for a, b in zip(whole["tags"], shrunk["tags"], strict=True)]
    assert 0 < max(moved) <= 0.02
    assert [tag["positive"] for tag in whole["tags"]] == [tag["positive"] for tag in shrunk["tags"]]


@pytest.mark.parametrize("name", ["RG3_UNCR.dcm", "RG3_J2KR.dcm", "CT_small.dcm", "MR_small.dcm", "US1_UNCR.dcm"])
def test_what_is_no_chest_radiograph_is_refused(name):
    code, (record,) = generate(real(name))
    assert code == 3
    assert record["error"]["code"] == "not-a-chest-radiograph"


def test_pixels_alone_tell_what_is_no_chest_radiograph(tmp_path):
    for name in ("RG1_UNCR.dcm", "RG3_UNCR.dcm", "CT_small.dcm", "MR_small.dcm", "US1_UNCR.dcm"):
        Image.fromarray(pixels(name)).save(tmp_path / f"{name}.png")
    code, records = generate(tmp_path)
    assert code == 6
    real_one, *others = sorted(records, key=lambda record: record["study"]["id"] != "RG1_UNCR.dcm.png")
    assert not real_one["warnings"]
    assert {record["error"]["code"] for record in others} == {"not-a-chest-radiograph"}
    _, forced = generate("--force", tmp_path)
    assert sum(any("does not look like" in warning for warning in record["warnings"]) for record in forced) == 4


def test_drawings_are_not_taken_for_radiographs():
    _, records = generate("--tags-only", ROOT / "examples" / "phantoms")
    assert len(records) == 7
    assert all("error" in r or any("unlike" in warning for warning in r["warnings"]) for r in records)


def test_a_mixed_folder(tmp_path):
    for name in ("RG1_UNCR.dcm", "RG1_J2KR.dcm", "RG1_UNCI.dcm", "CT_small.dcm"):
        shutil.copy(real(name), tmp_path)
    (tmp_path / "truncated.dcm").write_bytes(real("RG1_UNCR.dcm").read_bytes()[:100_000])
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(pixels("RG1_UNCR.dcm").astype(np.uint16) * 257).save(tmp_path / "deep.png")
    code, records = generate(tmp_path)
    assert code == 6
    failed = {Path(r["study"]["id"]).name: r["error"]["code"] for r in records if "error" in r}
    assert sorted(failed.values()) == ["not-a-chest-radiograph", "unreadable", "unreadable"]
    assert failed["text.png"] == failed["truncated.dcm"] == "unreadable"
    drafted = {Path(r["study"]["views"]["used"][0]["source"]).name for r in records if "error" not in r}
    assert "deep.png" in drafted
    (real_one,) = [r for r in records if any("RG1" in source for source in r["study"]["sources"])]
    assert any("repeats an image" in warning for warning in real_one["warnings"])
    assert "error" not in real_one


def _first(label: str) -> Path:
    val = set((SHARED / "nih" / "val_list.txt").read_text().split())
    with (SHARED / "nih" / "Data_Entry_2017.csv").open() as stream:
        return next(
            SHARED / "nih" / "images" / row["Image Index"]
            for row in csv.DictReader(stream)
            if row["Finding Labels"] == label and row["Image Index"] in val
        )


@needs_nih
def test_reports_of_a_normal_and_an_effusion_image_differ():
    code, (normal, effusion) = generate(_first("No Finding"), _first("Effusion"))
    assert code == 0
    assert normal["report"] != effusion["report"]


@needs_nih
def test_hardly_any_radiograph_gives_a_false_alarm():
    names = (SHARED / "nih" / "val_list.txt").read_text().split()[::11]
    code, records = generate("--tags-only", *(SHARED / "nih" / "images" / name for name in names))
    assert code == 0
    assert sum(any("unlike" in warning for warning in record["warnings"]) for record in records) <= 4


@needs_openi
def test_lateral_views_are_warned_of():
    images = SHARED / "openi" / "images"
    frontal = [images / f"CXR{name}.png" for name in ("1900_IM-0584-1001", "25_IM-1024-2001", "303_IM-1404-1001")]
    lateral = [images / f"CXR{name}.png" for name in ("1900_IM-0584-2001", "54_IM-2145-1002", "7_IM-2263-2001")]
    for paths, doubtful in ((frontal, False), (lateral, True)):
        _, records = generate("--tags-only", "--force", *paths)
        assert [any("unlike" in w or "look like" in w for w in r["warnings"]) for r in records] == [doubtful] * 3


@needs_openi
def test_chexnet_predictions_are_read_as_they_are(tmp_path):
    lines = (SHARED / "openi" / "chexnet_predictions.csv").read_text().splitlines()[:41]
    (tmp_path / "head.csv").write_text("\n".join(lines))
    code, records = generate("--from-tags", tmp_path / "head.csv", "--evidence", "chexnet")
    assert code == 0
    assert len(records) > 15
    assert all(r["findings"] and r["study"]["id"].isdigit() for r in records)
