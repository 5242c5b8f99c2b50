"""Export with torch: parity is checked by `write_bundle` itself, so what passes here has passed it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import make_tiny_bundle  # noqa: E402
import torch  # noqa: E402

from cxreport.bundle import load_manifest, verify_graphs  # noqa: E402
from cxreport.errors import ExportError  # noqa: E402
from cxreport.train import _parity, export  # noqa: E402
from cxreport.train._graphs import EncoderGraph  # noqa: E402
from cxreport.train.encoder import Encoder  # noqa: E402
from cxreport.train.half import rounded  # noqa: E402
from cxreport.train.typicality import fit_typicality  # noqa: E402

pytestmark = pytest.mark.slow
STEPS = 600  # taught enough to write sentences of many kinds


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("export") / "bundle"
    return folder, make_tiny_bundle.make(folder, STEPS)


def test_figures(bundle: tuple[Path, dict[str, float]]) -> None:
    folder, figures = bundle
    verify_graphs(folder, load_manifest(folder))
    assert sorted(f.name for f in folder.iterdir()) == [
        "encoder.onnx", "model.json", "sentence_step.onnx", "text_encoder.onnx", "word_step.onnx"
    ]  # fmt: skip
    assert figures["bytes"] == sum(f.stat().st_size for f in folder.iterdir())
    assert figures["identical"] == figures["inputs"] >= 50
    assert figures["distinct"] > 10
    assert max(figures["features"], figures["probabilities"], figures["distances"]) < 1e-3


def test_same_bytes_again_and_other_files_kept(bundle: tuple[Path, dict[str, float]]) -> None:
    folder, _ = bundle
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    (folder / "README.md").write_text("The model card.")
    make_tiny_bundle.make(folder, STEPS)
    assert (folder / "README.md").read_text() == "The model card."
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert [f.name for f in folder.parent.iterdir()] == ["bundle"]


def test_big_weights_are_halves_stored_once(bundle: tuple[Path, dict[str, float]]) -> None:
    folder, _ = bundle
    words = len(load_manifest(folder).vocabulary)
    for name in ("encoder", "sentence_step", "word_step"):
        graph = onnx.load(folder / f"{name}.onnx").graph
        kinds = {i.name: (i.data_type, np.prod(i.dims)) for i in graph.initializer if len(i.dims) > 1}
        big = {n: kind for n, (kind, size) in kinds.items() if size >= 256}
        assert big
        assert set(big.values()) == {onnx.TensorProto.FLOAT16}
        assert all(i.type.tensor_type.elem_type != onnx.TensorProto.FLOAT16 for i in graph.input)
    embeddings = [i for i in graph.initializer if words in i.dims and len(i.dims) == 2]
    assert len(embeddings) == 1


def test_rounded_twin_differs_from_the_original() -> None:
    torch.manual_seed(0)
    encoder = Encoder(14, width=1 / 16).eval()
    twin = rounded(encoder)
    weight = encoder.features[-2].weight
    assert torch.equal(twin.features[-2].weight, weight.half().float())
    assert not torch.equal(twin.features[-2].weight, weight)
    image = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    typicality = fit_typicality(encoder, np.random.default_rng(0).integers(0, 256, (90, 32, 32), np.uint8))
    _, probabilities, _, distance = EncoderGraph(encoder, typicality)(image)
    assert torch.allclose(probabilities, encoder(image.float())[1].sigmoid(), atol=1e-5)
    coarse = rounded(typicality)
    assert torch.equal(coarse.components, typicality.components.half().float())
    assert torch.equal(coarse.mean, typicality.mean)
    assert torch.allclose(coarse(encoder.maps(image.float())), distance, rtol=1e-2)
    assert not torch.equal(coarse(encoder.maps(image.float())), distance)


@pytest.mark.parametrize(
    ("module", "name", "value"), [(_parity, "TOLERANCE", 0.0), (export, "MAX_BYTES", 1000), (_parity, "_LIKELY", -1.0)]
)
def test_a_failed_check_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, value: float
) -> None:
    out = tmp_path / "bundle"
    monkeypatch.setattr(module, name, value)
    with pytest.raises(ExportError):
        make_tiny_bundle.make(out, 40)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("Years of work.")
    with pytest.raises(ExportError, match="not a model bundle"):
        make_tiny_bundle.make(tmp_path, 1)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]


def test_networks_that_do_not_belong_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_tiny_bundle, "VOCABULARY", (*make_tiny_bundle.VOCABULARY, "more"))
    description = make_tiny_bundle._description()
    monkeypatch.undo()
    monkeypatch.setattr(make_tiny_bundle, "_description", lambda: description)
    with pytest.raises(ExportError, match="do not fit each other"):
        make_tiny_bundle.make(tmp_path / "bundle", 1)
