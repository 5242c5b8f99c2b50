"""Eager PyTorch that reads every prefix again writes what the bundle's graphs write."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

import onnx
import onnxruntime
import torch

from cxreport.drafting.decode import decode
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.errors import BundleError
from cxreport.model.choices import Architecture
from cxreport.model.encode import encode
from cxreport.model.manifest import ENCODER, Sizes
from cxreport.model.session import Model
from cxreport.model.signatures import signatures
from cxreport.train.export import parity
from cxreport.train.export.graphs import EncoderGraph, make_graph
from cxreport.train.fit.typicality import fit_typicality
from cxreport.train.networks.encoder import Encoder, to_input
from cxreport.train.networks.encoders.vgg19 import Vgg19
from cxreport.train.networks.factors import factor
from cxreport.train.reference import eager
from cxreport.train.reference.eager import load_eager
from cxreport.train.reference.greedy import Ids, greedy
from cxreport.types import Plan

pytestmark = pytest.mark.slow


def test_the_same_reports(tiny_bundle: Path) -> None:
    """Of images with their own plans, and with plans drawn at random."""
    model, eager = Model.load(tiny_bundle, "cpu"), load_eager(tiny_bundle)
    manifest, random = model.manifest, np.random.default_rng(3)
    images = [parity.made_image(random, manifest) for _ in range(12)]
    encodings = encode(model, images)

    def written(plans: list[Plan]) -> list[Ids]:
        return [[(s.section, s.ids) for s in d.sentences] for d in decode(model, encodings, plans)]

    own = written([make_plan(manifest, encoding, HEAD) for encoding in encodings])
    assert [eager.draft(image) for image in images] == own
    assert [eager.draft(image, rereading=False) for image in images] == own
    plans = [parity._plan(random, manifest) for _ in images]
    pairs = zip(encodings, plans, strict=True)
    drawn = [greedy(eager.decoder, manifest, encoding, plan, rereading=True) for encoding, plan in pairs]
    assert drawn == written(plans)
    assert len({str(report) for report in drawn}) > 6


def test_no_weight_is_left_as_it_was_drawn(tiny_bundle: Path) -> None:
    one, other = load_eager(tiny_bundle), load_eager(tiny_bundle)
    for module, twin in ((one.encoder, other.encoder), (one.decoder, other.decoder)):
        for (name, weight), (_, same) in zip(module.state_dict().items(), twin.state_dict().items(), strict=True):
            assert weight.equal(same), name


@pytest.mark.parametrize("ranks", [(), (0, 2, *[3] * 14)])
@pytest.mark.parametrize("depth", [-1, -2, -3])
def test_an_encoder_is_read_back_with_the_map_of_its_patches(depth: int, ranks: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    encoder = Encoder(Vgg19(1 / 16), 5, patch_depth=depth).eval()
    if ranks:
        factor(encoder.features, ranks)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 32, 32), np.uint8)
    sizes = Sizes(
        image=32,
        channels=1,
        patches=(2, 4, 8)[-1 - depth] ** 2,
        patch_dim=(32, 32, 16)[-1 - depth],
        embedding=32,
        patch_embeddings=0,
        hidden=8,
        tags=5,
        reporting_tags=0,
        words=9,
    )
    graph = EncoderGraph(encoder, fit_typicality(encoder, pixels))
    content = make_graph(graph, signatures(sizes, Architecture.CO_ATTENTION, False)[ENCODER])
    given = onnxruntime.InferenceSession(content).run(["patches"], {"image": pixels[:3, None]})[0]
    manifest = SimpleNamespace(encoder="vgg19", sizes=sizes)
    again = eager._encoder(manifest, eager._weights(onnx.load_from_string(content))).eval()
    assert again.patch_depth == depth
    with torch.inference_mode():
        patches = again(to_input(pixels[:3]))[0].numpy()
    assert patches.shape == (3, sizes.patches, sizes.patch_dim)
    np.testing.assert_allclose(given, patches, rtol=1e-3, atol=1e-4)


def test_other_architectures(tiny_captioner: Path) -> None:
    with pytest.raises(BundleError, match="co-attention"):
        load_eager(tiny_captioner)
