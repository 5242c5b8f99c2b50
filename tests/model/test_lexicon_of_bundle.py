"""Lexicon of a bundle: what the package's learns later changes nothing that the bundle writes."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_files import edit
from places import DATA

from cxreport.drafting.pipeline import generate
from cxreport.errors import BundleError
from cxreport.model.bundle import load_manifest
from cxreport.model.session import Model
from cxreport.text import lexicon
from cxreport.text.lexicon import Lexicon, packaged
from cxreport.types import Report, Study

ENLARGED = Study("x", ("x",), None, tags={"Cardiomegaly": 0.9})
RULES = (DATA / "tiny_bundle" / "lexicon.toml").read_bytes()
WITH_ONE_MORE_TAG = RULES.replace(b"[tags]\n", b'[tags]\n"Large Heart" = ["heart is enlarged"]\n')


def as_version_3(folder: Path) -> Path:
    """Make a bundle what 0.4.0 would have written."""
    edit(folder, lambda raw: (raw.update(schema_version=3), raw.pop("lexicon"), raw.pop("encoder")))
    (folder / "lexicon.toml").unlink()
    return folder


def replace_lexicon(folder: Path, content: bytes) -> None:
    """Put another lexicon in the place of a bundle's, with its digest in the manifest."""
    (folder / "lexicon.toml").write_bytes(content)
    edit(folder, lambda raw: raw["lexicon"].update(sha256=hashlib.sha256(content).hexdigest()))


def draft(folder: Path) -> Report:
    (report,) = generate(Model.load(folder, "cpu"), [ENLARGED])
    assert isinstance(report, Report)
    return report


def test_a_tag_more_in_the_package_does_not_change_what_a_bundle_writes(
    tiny_bundle: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = draft(tiny_bundle)
    assert (shipped.repairs.removed, shipped.repairs.added) == (0, 0)
    monkeypatch.setattr(lexicon, "packaged", lambda: Lexicon(WITH_ONE_MORE_TAG))
    assert draft(tiny_bundle).findings == shipped.findings
    assert draft(tiny_bundle).repairs == shipped.repairs
    old = draft(as_version_3(copy))  # has no lexicon of its own: the sentence tells a tag that nobody planned
    assert old.repairs.removed == old.repairs.added == 1


def test_another_lexicon_in_the_bundle_does(copy: Path) -> None:
    replace_lexicon(copy, WITH_ONE_MORE_TAG)
    assert draft(copy).repairs.removed == 1
    assert load_manifest(copy).lexicon.reporting_tags[0] == "Large Heart"


def test_a_bundle_of_version_3_has_the_lexicon_of_the_package(tiny_bundle: Path, copy: Path) -> None:
    manifest = load_manifest(as_version_3(copy))
    assert manifest.lexicon is packaged()
    assert manifest.encoder == "vgg19"
    assert draft(copy).findings == draft(tiny_bundle).findings


def test_a_manifest_goes_to_other_processes(tiny_bundle: Path) -> None:
    copy = pickle.loads(pickle.dumps(load_manifest(tiny_bundle)))
    assert copy.lexicon.affirmed("The heart is enlarged.") == {"Cardiomegaly"}


def test_a_missing_or_altered_lexicon_is_refused(copy: Path) -> None:
    path = copy / "lexicon.toml"
    path.write_bytes(WITH_ONE_MORE_TAG)
    with pytest.raises(BundleError, match=r"lexicon\.toml: altered or damaged"):
        load_manifest(copy)
    path.unlink()
    with pytest.raises(BundleError, match=r"lexicon\.toml: cannot be read"):
        load_manifest(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("lexicon"), "'lexicon' is missing"),
        (lambda raw: raw.pop("encoder"), "'encoder' is missing"),
        (lambda raw: raw.update(lexicon="lexicon.toml"), r"model\.json: "),
        (lambda raw: raw["lexicon"].update(file="../lexicon.toml"), "outside the bundle"),
        (lambda raw: raw["lexicon"].pop("sha256"), "'sha256' is missing"),
        (lambda raw: raw.update(schema_version=6), "schema version 6; this cxreport reads versions 3, 4 and 5"),
    ],
)
def test_contradicting_manifest(copy: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    edit(copy, change)
    with pytest.raises(BundleError, match=message):
        load_manifest(copy)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" + bytes(1000), b"[tags", b"scope = 1", b"[" * 10_000, RULES.replace(b'"no(?! longer)"', b'"no("')],
    ids=["empty", "no text", "no TOML", "no table", "deep", "no expression"],
)
def test_what_is_no_lexicon_is_refused_when_it_is_needed(copy: Path, content: bytes) -> None:
    replace_lexicon(copy, content)
    with pytest.raises(BundleError, match=r"bundle/lexicon\.toml: not a lexicon") as refusal:
        draft(copy)
    assert len(str(refusal.value)) < 300


def test_upgraded_bundles_keep_their_graphs(copy: Path) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    from cxreport.train.export.write_bundle import upgrade_bundle

    as_version_3(copy)
    int8_folder = Path(shutil.copytree(copy, copy / "int8"))
    edit(int8_folder, lambda raw: raw.update(precision="int8", quantised_from=load_manifest(copy).sha256))
    graphs = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*.onnx")}
    (copy / "README.md").write_text("a card")
    old = draft(copy)
    upgrade_bundle(copy, "1")
    assert {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*.onnx")} == graphs
    assert (copy / "README.md").read_text() == "a card"
    manifest, int8 = load_manifest(copy), load_manifest(int8_folder)
    assert (manifest.version, int8.version) == ("1", "1")
    assert int8.quantised_from == manifest.sha256
    assert manifest.lexicon.toml == int8.lexicon.toml == packaged().toml
    assert draft(copy).findings == old.findings
