"""Export with torch: parity is checked by `write_bundle` itself, so what passes here has passed it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

import make_tiny_bundle  # noqa: E402
import torch  # noqa: E402

from cxreport.errors import ExportError  # noqa: E402
from cxreport.model.bundle import load_manifest, verify_graphs  # noqa: E402
from cxreport.model.choices import CAPTIONING  # noqa: E402
from cxreport.model.encode import encode  # noqa: E402
from cxreport.model.session import Model  # noqa: E402
from cxreport.text.vocabulary import NO_WORD, PAD, UNK  # noqa: E402
from cxreport.train.export import parity  # noqa: E402
from cxreport.train.export import write_bundle as export  # noqa: E402
from cxreport.train.export.graphs import CaptionGraph, EncoderGraph  # noqa: E402
from cxreport.train.export.parity import Networks  # noqa: E402
from cxreport.train.export.write_bundle import BundleDescription  # noqa: E402
from cxreport.train.fit.typicality import fit_typicality  # noqa: E402
from cxreport.train.networks.captioner import Captioner  # noqa: E402
from cxreport.train.networks.decoder import State  # noqa: E402
from cxreport.train.networks.encoder import Encoder, to_input  # noqa: E402
from cxreport.train.networks.encoders.vgg19 import Vgg19  # noqa: E402
from cxreport.train.networks.joint import joint_features  # noqa: E402
from cxreport.train.networks.rounding import rounded  # noqa: E402
from cxreport.train.reference import greedy  # noqa: E402

pytestmark = pytest.mark.slow
STEPS = 800  # taught enough to write sentences of many kinds
STEPS_OF = {"cnn-rnn": 800, "soft-attention": 400}


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
        "encoder.onnx", "lexicon.toml", "model.json", "sentence_step.onnx", "text_encoder.onnx", "word_step.onnx"
    ]  # fmt: skip
    assert figures["bytes"] == sum(f.stat().st_size for f in folder.iterdir())
    assert figures["identical"] == figures["inputs"] >= 50
    assert figures["distinct"] > 10
    assert max(figures["features"], figures["probabilities"], figures["distances"]) < 1e-3
    assert max(figures["embeddings"], figures["texts"]) < 1e-3


@pytest.fixture(scope="module", params=CAPTIONING)
def captioner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float], Captured]:
    """The bundle of a captioner, the figures of its export and its networks."""
    folder, caught = tmp_path_factory.mktemp("captioner") / "bundle", Captured()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_tiny_bundle, "write_bundle", caught)
        return folder, make_tiny_bundle.make_captioner_bundle(folder, STEPS_OF[request.param], request.param), caught


class Captured:
    """Exports, and keeps what was exported."""

    networks: Networks
    description: BundleDescription

    def __call__(self, folder: Path, networks: Networks, description: BundleDescription) -> dict[str, float]:
        self.networks, self.description = networks, description
        return export.write_bundle(folder, networks, description)


def test_figures_of_captioners(captioner: tuple[Path, dict[str, float], Captured]) -> None:
    folder, figures, _ = captioner
    manifest = load_manifest(folder)
    verify_graphs(folder, manifest)
    assert sorted(f.name for f in folder.iterdir()) == [
        "caption_step.onnx",
        "encoder.onnx",
        "lexicon.toml",
        "model.json",
    ]
    assert figures["identical"] == figures["inputs"] >= 50
    assert figures["distinct"] > 4
    assert max(figures["features"], figures["probabilities"], figures["distances"]) < 1e-3
    assert "texts" not in figures


def test_parity_of_caption_steps(captioner: tuple[Path, dict[str, float], Captured]) -> None:
    folder, _, caught = captioner
    model, twin = Model.load(folder, "cpu"), caught.networks.rounded().writer
    assert isinstance(twin, Captioner)
    random = np.random.default_rng(1)
    patches = random.normal(size=(6, 4, 12)).astype(np.float32) * 3
    hidden, cell = random.normal(size=(2, 6, 24)).astype(np.float32)
    seen, words = twin.items(torch.from_numpy(patches)), np.array([NO_WORD, 3, 4, UNK, NO_WORD, 9])
    given = model.caption_step(patches, words, hidden, cell)
    with torch.inference_mode():
        state = State(torch.from_numpy(hidden), torch.from_numpy(cell))
        logits, attention, after = twin(seen, torch.from_numpy(words), state)
    np.testing.assert_allclose(given.log_probabilities, logits.log_softmax(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(given.hidden, after.hidden, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(given.cell, after.cell, rtol=1e-4, atol=1e-5)
    assert (given.attention is None) == (attention is None) == (not twin.attends)
    if attention is not None:
        np.testing.assert_allclose(given.attention, attention, rtol=1e-4, atol=1e-5)


def test_a_captioner_that_was_tampered_with_fails(
    captioner: tuple[Path, dict[str, float], Captured], tmp_path: Path
) -> None:
    _, _, caught = captioner
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "CaptionGraph", lambda writer: CaptionGraph(_shifted(writer, "bias")))
        with pytest.raises(ExportError, match="differ from the trained networks"):
            export.write_bundle(tmp_path / "bundle", caught.networks, caught.description)
    assert list(tmp_path.iterdir()) == []


def _shifted(module: torch.nn.Module, name: str) -> Any:
    """A copy of a module with other weights."""
    twin = copy.deepcopy(module)
    weights = twin.get_parameter(name).data
    weights += torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
    return twin


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Captured]:
    """A bundle with a joint space, and its networks."""
    folder, caught = tmp_path_factory.mktemp("joint") / "bundle", Captured()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_tiny_bundle, "write_bundle", caught)
        make_tiny_bundle.make(folder, 40)
    return folder, caught


def test_parity_of_the_joint_space(joint: tuple[Path, Captured]) -> None:
    folder, caught = joint
    model, twin = Model.load(folder, "cpu"), caught.networks.rounded()
    assert twin.joint is not None
    random = np.random.default_rng(2)
    images = np.asarray(make_tiny_bundle._pictures()[:5, 0].to(torch.uint8))
    with torch.inference_mode():
        whole, patches = twin.joint.image(*joint_features(twin.encoder.maps(to_input(images))))
    for encoding, vector, parts in zip(encode(model, list(images)), whole, patches, strict=True):
        np.testing.assert_allclose(encoding.embedding, vector, atol=1e-3)
        np.testing.assert_allclose(encoding.patch_embeddings, parts, atol=1e-3 * float(parts.abs().max()))
    words = random.integers(UNK, len(model.manifest.text_vocabulary), (7, 9))
    with torch.inference_mode():
        wanted = twin.joint.text(torch.from_numpy(words))
    np.testing.assert_allclose(model.encode_text(words), wanted, atol=1e-5)


def test_filling_up_does_not_change_a_text(joint: tuple[Path, Captured]) -> None:
    model = Model.load(joint[0], "cpu")
    texts = [np.random.default_rng(n).integers(UNK, 40, n) for n in (1, 2, 5, 9)]
    for length in (9, 10, 30):
        filled = np.full((len(texts), length), PAD, np.int64)
        for row, text in zip(filled, texts, strict=True):
            row[: len(text)] = text
        for vector, text in zip(model.encode_text(filled), texts, strict=True):
            np.testing.assert_allclose(vector, model.encode_text(text[None])[0], atol=1e-6)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("part", ["text", "image"])
def test_a_joint_space_that_was_tampered_with_fails(
    joint: tuple[Path, Captured], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    _, caught = joint
    honest = export._modules

    def modules(networks: Networks) -> dict[str, torch.nn.Module]:
        graphs = honest(networks)
        if part == "text":
            return graphs | {"text_encoder": _shifted(graphs["text_encoder"], "output.bias")}
        return graphs | {"encoder": _shifted(graphs["encoder"], "joint.image.position")}

    monkeypatch.setattr(export, "_modules", modules)
    with pytest.raises(ExportError, match="differ from the trained networks"):
        export.write_bundle(tmp_path / "bundle", caught.networks, caught.description)
    assert list(tmp_path.iterdir()) == []


def test_a_joint_space_may_add_to_the_size(
    joint: tuple[Path, Captured], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, caught = joint
    total = sum(f.stat().st_size for f in folder.iterdir())
    monkeypatch.setattr(export, "MAX_BYTES", total - 1000)
    monkeypatch.setattr(export, "MAX_JOINT_BYTES", 1000)
    export.write_bundle(tmp_path / "bundle", caught.networks, caught.description)
    monkeypatch.setattr(export, "MAX_JOINT_BYTES", 999)
    with pytest.raises(ExportError, match=f"{total} bytes, more than {total - 1}"):
        export.write_bundle(tmp_path / "other", caught.networks, caught.description)
    assert [f.name for f in tmp_path.iterdir()] == ["bundle"]


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
    encoder = Encoder(Vgg19(1 / 16), 14).eval()
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
    ("module", "name", "value"),
    [(parity, "TOLERANCE", 0.0), (export, "MAX_BYTES", 1000 - export.MAX_JOINT_BYTES), (greedy, "_LIKELY", -1.0)],
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
