"""Graphs of all architectures, small and with random weights: what they compute, and what is in their bytes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

import onnxruntime  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from cxreport.errors import ExitCode  # noqa: E402
from cxreport.model.choices import CAPTIONING, Architecture  # noqa: E402
from cxreport.model.manifest import ENCODER, TEXT_ENCODER, WORD_SEARCH, Sizes  # noqa: E402
from cxreport.model.signatures import Port, Signature, signatures  # noqa: E402
from cxreport.train.export.gpu_graphs import make_gpu_graphs  # noqa: E402
from cxreport.train.export.graphs import (  # noqa: E402
    OPSET,
    CaptionGraph,
    EncoderGraph,
    SentenceGraph,
    WordGraph,
    make_graph,
)
from cxreport.train.fit.typicality import fit_typicality  # noqa: E402
from cxreport.train.networks.captioner import CaptionerSizes, make_captioner  # noqa: E402
from cxreport.train.networks.decoder import Decoder, DecoderSizes  # noqa: E402
from cxreport.train.networks.encoder import Encoder  # noqa: E402
from cxreport.train.networks.encoders.vgg19 import Vgg19  # noqa: E402
from cxreport.train.networks.factors import factor  # noqa: E402
from cxreport.train.networks.joint import JointSizes, JointSpace  # noqa: E402
from cxreport.train.networks.rounding import rounded  # noqa: E402

pytestmark = pytest.mark.slow
SIZES = Sizes(
    image=32, channels=1, patches=4, patch_dim=32, embedding=8, patch_embeddings=16, hidden=24, tags=5,
    reporting_tags=7, words=19,
)  # fmt: skip
JOINT = JointSizes(19, features=32, patches=16, patch_dim=64, embedding=8, word_dim=8, hidden=8, patch_hidden=8)


def encoder(ranks: int = 0) -> nn.Module:
    """Of the convolutions the last two in factors, where ``ranks`` are given."""
    network = Encoder(Vgg19(1 / 16), SIZES.tags).eval()
    factor(network.features, [0] * 14 + [ranks] * 2)
    for weights in network.parameters():  # so that different depths tell pictures apart
        if weights.ndim == 4:
            nn.init.kaiming_normal_(weights, nonlinearity="relu")
    images = np.random.default_rng(0).integers(0, 256, (90, 32, 32), np.uint8)
    return EncoderGraph(network, fit_typicality(network, images), JointSpace(JOINT, SIZES.tags))


def decoder(architecture: Architecture) -> Decoder:
    sizes = DecoderSizes(tags=7, words=19, patch_dim=32, hidden=24, word_dim=16, attention=8, top_tags=3)
    return Decoder(replace(sizes, attends_to=architecture.row.attends_to))


def captioner(architecture: Architecture, places: int) -> nn.Module:
    sizes = CaptionerSizes(
        19, patch_dim=32, hidden=24, word_dim=16, attention=8, places=places, word_queries=places > 0
    )
    return CaptionGraph(make_captioner(architecture, sizes))


def signature(name: str, architecture: Architecture = Architecture.CO_ATTENTION) -> Signature:
    return signatures(SIZES, architecture, True)[name]


SENTENCES = [a for a in Architecture if a not in CAPTIONING]
GRAPHS: dict[str, tuple[Callable[[], nn.Module], Signature]] = {
    "encoder": (encoder, signature(ENCODER)),
    "encoder in factors": (lambda: encoder(9), signature(ENCODER)),
    "texts": (lambda: JointSpace(JOINT, SIZES.tags).text, signature(TEXT_ENCODER)),
    "words": (lambda: WordGraph(decoder(Architecture.CO_ATTENTION)), signature("word_step")),
    **{f"sentences, {a}": (lambda a=a: SentenceGraph(decoder(a)), signature("sentence_step", a)) for a in SENTENCES},
    **{
        f"captions, {a}, {places} places": (
            lambda a=a, places=places: captioner(a, places), signature("caption_step", a)
        )
        for a in CAPTIONING
        for places in (0, 4)
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=GRAPHS)
def exported(request: pytest.FixtureRequest) -> tuple[nn.Module, Signature, bytes]:
    """A module, the signature of its graph, and the graph, exported without what torch is to remove."""
    torch.manual_seed(0)
    make, ports = GRAPHS[request.param]
    module = make().eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("torch.onnx._internal.torchscript_exporter.utils.export", raising=False)
        return module, ports, make_graph(module, ports)


def drawn(port: Port, lengths: dict[str, int], random: np.random.Generator) -> np.ndarray:
    shape = [lengths.get(d, d) if isinstance(d, str) else d for d in port.shape]
    if port.dtype == "float32":
        return random.random(shape, np.float32)
    return random.integers(0, 2 if port.name == "section" else 19, shape, port.dtype)


def test_it_computes_what_the_module_does_at_any_length(exported: tuple[nn.Module, Signature, bytes]) -> None:
    """Also of one row and of one patch or word, and of lengths that are equal to each other."""
    module, ports, content = exported
    session, twin = onnxruntime.InferenceSession(content), rounded(module)
    for i, many in enumerate([(1, 1, 1), (1, 6, 5), (2, 2, 2), (7, 3, 1)]):
        lengths = dict(zip("BNPT", (many[0], many[0], *many[1:]), strict=True))
        given = [drawn(port, lengths, np.random.default_rng(i)) for port in ports.inputs]
        actual = session.run(None, dict(zip((p.name for p in ports.inputs), given, strict=True)))
        with torch.inference_mode():
            expected = twin(*map(torch.from_numpy, given))
        for a, b, port in zip(
            actual, expected if isinstance(expected, tuple) else (expected,), ports.outputs, strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4, err_msg=f"{port.name}, {lengths}")


def test_every_weight_has_its_name(exported: tuple[nn.Module, Signature, bytes]) -> None:
    """As `reference.eager` reads them back; also one that is equal to others, as the zeros that a layer starts from."""
    module, _, content = exported
    stored = {i.name.removesuffix(".half"): i for i in onnx.load_from_string(content).graph.initializer}
    weights = dict(module.named_parameters())
    unused = {
        name for name in weights if name.startswith(("step.semantic", "step.visual", "joint.text", "step.tag_emb"))
    }
    unused |= {"joint.scale", "joint.bias", "joint.local_bias"}
    assert weights.keys() - unused <= stored.keys()
    for name in weights.keys() & stored.keys():
        np.testing.assert_allclose(
            onnx.numpy_helper.to_array(stored[name]), weights[name].detach(), rtol=1e-3, atol=1e-6
        )


def test_nothing_tells_of_the_machine_and_the_bytes_are_the_same_again(
    exported: tuple[nn.Module, Signature, bytes],
) -> None:
    module, ports, content = exported
    for told in (str(ROOT), sys.prefix, "site-packages", ".py", "forward"):
        assert told.encode() not in content
    model = onnx.load_from_string(content)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input):
        assert not part.metadata_props
        assert not part.doc_string
    assert make_graph(module, ports) == content


def test_words_are_searched_with_the_operators_of_the_graph() -> None:
    """The search for GPUs on a word step of this exporter: its reductions take their axes as inputs."""
    torch.manual_seed(0)
    ports = signatures(SIZES, Architecture.CO_ATTENTION, True)
    step = make_graph(WordGraph(decoder(Architecture.CO_ATTENTION)), ports["word_step"])
    made = make_gpu_graphs({"word_step": step}, {"word_step": "word_step.onnx"}, ports)
    model = onnx.load_from_string(made[WORD_SEARCH])
    assert [o.version for o in model.opset_import] == [OPSET]
    reductions = [n for n in model.graph.node if n.op_type in ("ReduceMax", "ReduceMin")]
    assert [(len(n.input), [a.name for a in n.attribute]) for n in reductions] == [(2, ["keepdims"])] * 2


class Sequence(nn.Module):
    """An LSTM over a whole text, whose shape torch finds by unrolling it, so that its length is fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.lstm(vectors)[0]


def test_a_length_that_comes_out_fixed_is_an_error() -> None:
    """And not a graph that refuses every text but those as long as the example."""
    ports = Signature((Port("vectors", ("N", "T", 3)),), (Port("states", ("N", "T", 4)),))
    with pytest.raises(Exception, match="specialized it to be a constant"):
        make_graph(Sequence(), ports)


@pytest.mark.parametrize("package", ["torch", "onnxscript"])
def test_export_says_what_it_lacks(
    package: str, tmp_path: Path, run_cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == package else found(name, *a))
    done = run_cli("export", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == ExitCode.EXTRA_MISSING
    assert "cxreport export" in done.stderr
    assert "'train' extra" in done.stderr
