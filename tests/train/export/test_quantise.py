"""Quantisation of the tiny bundle: what comes out is int8, near to it, and does not depend on the batch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from cxreport.drafting.decode import decode  # noqa: E402
from cxreport.drafting.plan import make_plan  # noqa: E402
from cxreport.errors import ExportError  # noqa: E402
from cxreport.model.bundle import load_manifest, verify_graphs  # noqa: E402
from cxreport.model.encode import encode  # noqa: E402
from cxreport.model.precision import load_model  # noqa: E402
from cxreport.model.session import Model  # noqa: E402
from cxreport.reading.network_input import network_input  # noqa: E402
from cxreport.train.export import quantise as quantising  # noqa: E402
from cxreport.train.export.calibration import CALIBRATED, calibration_images  # noqa: E402
from cxreport.train.export.quantise import quantise  # noqa: E402
from cxreport.types import Pixels  # noqa: E402

pytestmark = pytest.mark.slow


def clouds(number: int, seed: int = 3, channels: tuple[int, ...] = ()) -> list[Pixels]:
    random = np.random.default_rng(seed)
    coarse = [random.integers(0, 256, (5, 5, *channels), np.uint8) for _ in range(number)]
    return [network_input(picture, 32) for picture in coarse]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("quantised") / "bundle"
    shutil.copytree(tiny_bundle, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantising, "MAX_CHANGE", 0.2)  # its random encoder sees little but differences of the last digit
        return folder, quantise(folder, folder / "int8", clouds(96))


def test_it_is_int8_and_near(made: tuple[Path, dict[str, Any]]) -> None:
    folder, figures = made
    manifest, original = load_manifest(folder / "int8"), load_manifest(folder)
    verify_graphs(folder / "int8", manifest)
    assert (manifest.precision, manifest.quantised_from) == ("int8", original.sha256)
    assert figures["images"] == 48
    assert figures["bytes"] == sum(file.stat().st_size for file in (folder / "int8").iterdir())
    assert figures["same_findings"] > 0.5
    exact, quantised = Model.load(folder, "cpu"), load_model(folder, device="cpu", precision="int8")
    before, after = (encode(model, clouds(16, seed=4)) for model in (exact, quantised))
    ratio = [b.distance / a.distance for a, b in zip(before, after, strict=True)]
    assert np.median(ratio) == pytest.approx(manifest.typicality.warn / original.typicality.warn, abs=0.1)


def test_products_are_of_integers(made: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = made
    for name, operator in (("encoder", "Conv"), ("sentence_step", "Gemm"), ("word_step", "Gemm")):
        graph = onnx.load(folder / "int8" / f"{name}.onnx").graph
        integers = {i.name for i in graph.initializer if i.data_type == onnx.TensorProto.INT8}
        whole = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in integers}
        weights = [n.input[1] for n in graph.node if n.op_type == operator]
        exact = [w for w in weights if w not in whole]
        assert len(exact) <= (1 if name == "encoder" else 0), exact  # the convolution that sees pixels
        assert len(weights) > 1


def test_a_study_comes_to_the_same_in_any_batch(made: tuple[Path, dict[str, Any]]) -> None:
    model = load_model(made[0], device="cpu", precision="int8")
    encodings = encode(model, clouds(9, seed=8))
    plans = [make_plan(model.manifest, e, "head") for e in encodings]
    together = decode(model, encodings, plans)
    for i, (encoding, plan) in enumerate(zip(encodings, plans, strict=True)):
        (alone,) = decode(model, [encoding], [plan])
        assert [(s.ids, s.log_probability) for s in alone.sentences] == [
            (s.ids, s.log_probability) for s in together[i].sentences
        ]


def test_captioners_are_quantised_too(tiny_captioner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantising, "MAX_CHANGE", 0.03)
    figures = quantise(tiny_captioner, tmp_path / "int8", clouds(64, channels=(3,)))
    exact, model = Model.load(tiny_captioner, "cpu"), Model.load(tmp_path / "int8", "cpu")
    assert set(model.manifest.graphs) == {"encoder", "caption_step"}
    assert 0 < figures["probabilities_mean"] < 0.03
    before, after = (encode(some, clouds(16, 4, (3,))) for some in (exact, model))
    change = [abs(a.tags[t] - b.tags[t]) for a, b in zip(before, after, strict=True) for t in a.tags]
    assert 0 < np.mean(change) < 0.03


def test_what_is_refused_leaves_nothing(
    made: tuple[Path, dict[str, Any]], tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(ExportError, match="31 images are too few"):
        quantise(tiny_bundle, out, clouds(31))
    with pytest.raises(ExportError, match="int8 bundle already"):
        quantise(made[0] / "int8", out, clouds(64))
    monkeypatch.setattr(quantising, "MAX_CHANGE", 1e-9)
    with pytest.raises(ExportError, match="too far from the float one"):
        quantise(tiny_bundle, out, clouds(32))
    assert list(tmp_path.iterdir()) == []


def test_images_are_drawn_from_the_train_list(tiny_bundle: Path, tmp_path: Path) -> None:
    manifest, folder = load_manifest(tiny_bundle), tmp_path / "images"
    folder.mkdir()
    for i in range(2 * CALIBRATED + 40):
        Image.fromarray(np.full((32, 32), i % 256, np.uint8)).save(folder / f"{i:04d}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    drawn = calibration_images(tmp_path, manifest)
    assert len(drawn) == 2 * CALIBRATED
    assert all(picture.shape == (32, 32) for picture in drawn)
    assert [int(p[0, 0]) for p in drawn] != sorted(int(p[0, 0]) for p in drawn)
    (tmp_path / "train_list.txt").write_text("0007.png\n0009.png\nbroken.png\nmissing.png\n")
    assert sorted(int(p[0, 0]) for p in calibration_images(tmp_path, manifest)) == [7, 9]


def test_export_adds_it_to_a_bundle(
    tiny_bundle: Path, tmp_path: Path, run_cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantising, "MAX_CHANGE", 0.2)
    images = tmp_path / "images"
    images.mkdir()
    for i, picture in enumerate(clouds(40)):
        Image.fromarray(picture).save(images / f"{i}.png")
    out = tmp_path / "out"
    done = run_cli("export", tiny_bundle, out, "--int8", "--images", images, "--verbose")
    assert done.exit_code == 0, done.stderr
    assert "same_reports" in done.stderr
    assert done.stdout == ""
    assert load_manifest(out).sha256 == load_manifest(tiny_bundle).sha256
    assert json.loads((out / "int8" / "model.json").read_text())["precision"] == "int8"
    again = run_cli("export", out, out, "--int8", "--images", images)
    assert again.exit_code == 0, again.stderr
    assert "exists" in run_cli("export", tiny_bundle, out, "--int8", "--images", images).stderr
    assert run_cli("export", tiny_bundle, out, "--int8").exit_code == 2
    assert run_cli("export", tiny_bundle, out, "--images", images).exit_code == 2
