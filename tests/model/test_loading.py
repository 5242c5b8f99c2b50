from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundle_files import edit
from places import DATA

from cxreport.errors import BundleError
from cxreport.model import bundle, precision, session
from cxreport.model.precision import load_model
from cxreport.model.session import Model

WORDS = np.array([[3, 4]])


def count(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[object]:
    """First arguments of the calls of a function from now on."""
    calls: list[object] = []
    function = getattr(module, name)

    def counted(*arguments: object, **named: object) -> object:
        calls.append(arguments[0])
        return function(*arguments, **named)

    monkeypatch.setattr(module, name, counted)
    return calls


@pytest.mark.parametrize("chosen", ["auto", "float32", "int8"])
def test_each_manifest_is_read_once(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    calls = count(monkeypatch, precision, "load_manifest")
    again = count(monkeypatch, session, "load_manifest")
    folder = bundle.find_bundle(None)
    load_model(folder, device="cpu", precision=chosen)
    assert len(calls) == len(set(map(str, calls)))
    assert not again


def test_a_graph_is_loaded_before_the_next_one_is_read(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    read, load = bundle.GraphFiles.__getitem__, session._session

    def reading(self: bundle.GraphFiles, name: str) -> bytes:
        events.append("read")
        return read(self, name)

    def loading(*arguments: object, **named: object) -> object:
        events.append("load")
        return load(*arguments, **named)

    monkeypatch.setattr(bundle.GraphFiles, "__getitem__", reading)
    monkeypatch.setattr(session, "_session", loading)
    Model.load(tiny_bundle, "cpu")
    assert events == [*("read", "load") * 3, "read"]  # the last is the text encoder's


def test_the_text_encoder_has_a_session_once_texts_are_embedded(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count(monkeypatch, session, "_session")
    model = Model.load(tiny_bundle, "cpu")
    loaded = len(calls)
    first = model.encode_text(WORDS)
    assert len(calls) == loaded + 1
    assert np.array_equal(model.encode_text(WORDS), first)
    assert len(calls) == loaded + 1
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("other", "message"), [("word_step", "text_encoder does not fit"), (None, "cannot load the bundle's graphs")]
)
def test_a_text_encoder_that_is_another_graph_is_refused_when_it_is_used(
    tiny_bundle: Path, tmp_path: Path, other: str | None, message: str
) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    content = (copy / f"{other or 'text_encoder'}.onnx").read_bytes()
    content = content if other else content[: len(content) // 2]
    (copy / "text_encoder.onnx").write_bytes(content)
    edit(copy, lambda raw: raw["graphs"]["text_encoder"].update(sha256=hashlib.sha256(content).hexdigest()))
    model = Model.load(copy, "cpu")
    with pytest.raises(BundleError, match=message):
        model.encode_text(WORDS)


def test_a_text_encoder_that_is_altered_is_refused_at_once(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    (copy / "text_encoder.onnx").write_bytes(b"0")
    with pytest.raises(BundleError, match=r"text_encoder\.onnx: altered"):
        Model.load(copy, "cpu")


def test_a_run_ends_without_a_search_for_garbage() -> None:
    code = (
        "import gc, sys; sys.argv = ['cxreport', '--version']; from cxreport.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\nsys.exit(0 if gc.get_freeze_count() else 3)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_drafting_without_an_index_loads_no_retrieval() -> None:
    picture = DATA.parents[1] / "examples" / "phantoms" / "normal-8bit.png"
    code = (
        "import sys; from cxreport.cli.app import main\ntry: main()\nexcept SystemExit: pass\n"
        "sys.exit(3 if any(name.startswith('cxreport.retrieval') for name in sys.modules) else 0)"
    )
    arguments = ["generate", "--force", "-q", "--model", str(DATA / "tiny_bundle"), str(picture)]
    run = subprocess.run([sys.executable, "-c", code, *arguments], check=False, timeout=120, capture_output=True)
    assert b"Findings" in run.stdout or b"FINDINGS" in run.stdout
    assert run.returncode == 0
