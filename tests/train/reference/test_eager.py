"""Eager PyTorch that reads every prefix again writes what the bundle's graphs write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from cxreport.drafting.decode import decode
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.errors import BundleError
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.train.export import parity
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


def test_other_architectures(tiny_captioner: Path) -> None:
    with pytest.raises(BundleError, match="co-attention"):
        load_eager(tiny_captioner)
