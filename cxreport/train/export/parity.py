"""Parity: the exported graphs and the incremental decoder against the trained networks, decoded the plain way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.plan import make_plan
from cxreport.errors import ExportError
from cxreport.model.encode import encode
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.reading.network_input import network_input
from cxreport.text.vocabulary import END
from cxreport.train.networks.captioner import Captioner
from cxreport.train.networks.decoder import Decoder
from cxreport.train.networks.encoder import Encoder, to_input
from cxreport.train.networks.joint import JointSpace, joint_features
from cxreport.train.networks.rounding import rounded
from cxreport.train.networks.typicality import Typicality
from cxreport.train.reference.greedy import greedy
from cxreport.types import Certainty, Detail, Encoding, Floats, Pixels, Plan, PlannedTopic

TOLERANCE = 1e-3
"""Largest relative difference of features, probabilities and distances."""
INPUTS = 52
"""Studies that are decoded both ways; half of them with an image."""
_COMPARED = ("features", "probabilities", "distances", "embeddings", "texts")
_SEED = 7
_MAX_POSITIVE = 4
_DETAIL_SHARE = 0.3
_SMALL = 1e-4
"""Differences of smaller probabilities are relative to this."""
_ONE_SEARCH = DecodeOptions(second_search=False)  # as the reference decodes


@dataclass(frozen=True, eq=False)
class Networks:
    """Trained networks of a bundle."""

    encoder: Encoder
    writer: Decoder | Captioner
    typicality: Typicality
    """Fitted to the encoder."""
    joint: JointSpace | None = None
    channels: int = 1
    """Of the images that the encoder was trained on."""

    def rounded(self) -> Networks:
        """With their weights as the bundle stores them."""
        joint = rounded(self.joint) if self.joint else None
        return Networks(rounded(self.encoder), rounded(self.writer), rounded(self.typicality), joint, self.channels)


def check_parity(model: Model, networks: Networks) -> dict[str, Any]:
    """Compare a loaded bundle with the networks that it was exported from.

    Figures without a suffix are against the networks with their weights rounded as the bundle stores them; those
    with ``_fp32`` against the networks as trained.

    Returns:
        largest relative differences and numbers of identical greedy decodings.

    Raises:
        ExportError: the difference to the rounded networks is too large, or a decoding differs.
    """
    generator = np.random.default_rng(_SEED)
    manifest, half = model.manifest, INPUTS // 2
    captioning = manifest.captioning
    images = [made_image(generator, manifest) for _ in range(INPUTS if captioning else half)]
    encodings = encode(model, images)
    texts = [generator.integers(END + 1, len(manifest.vocabulary), n) for n in range(1, half)] if networks.joint else []
    figures: dict[str, Any] = {}
    pairs = {"": networks.rounded(), "_fp32": networks}
    for suffix, twins in pairs.items():
        differences = _differences(encodings[:half], images[:half], twins) | _text_differences(model, twins, texts)
        figures |= {name + suffix: value for name, value in differences.items()}
    encodings += [Encoding({}, None, None)] * (INPUTS - len(images))
    plans = [make_plan(manifest, e) if captioning else _plan(generator, manifest) for e in encodings]
    incremental = [[(s.section, s.ids) for s in d.sentences] for d in decode(model, encodings, plans, _ONE_SEARCH)]
    for suffix, twins in pairs.items():
        reference = [greedy(twins.writer, manifest, e, p) for e, p in zip(encodings, plans, strict=True)]
        figures[f"identical{suffix}"] = sum(a == b for a, b in zip(incremental, reference, strict=True))
    figures |= {"inputs": INPUTS, "distinct": len({tuple(ids) for ids in incremental})}
    compared = [name for name in figures if name in _COMPARED]
    if max(figures[name] for name in compared) > TOLERANCE or figures["identical"] < INPUTS:
        raise ExportError(f"The exported graphs differ from the trained networks: {figures}.")
    return figures


@torch.inference_mode()
def _differences(encodings: list[Encoding], images: list[Pixels], networks: Networks) -> dict[str, float]:
    """Largest differences of features and embeddings relative to an image's largest, of probabilities and distances."""
    differences: dict[str, list[float]] = {}
    for encoding, image in zip(encodings, images, strict=True):
        maps = networks.encoder.maps(to_input(image[None]))
        patches, logits, _ = networks.encoder.read(maps)
        expected, actual = logits[0].sigmoid(), torch.tensor(list(encoding.tags.values()))
        distance = float(networks.typicality(maps))
        assert encoding.distance is not None
        pairs = {"features": [(encoding.patches, patches[0])]}
        if networks.joint:
            embedding, patch_embeddings = networks.joint.image(*joint_features(maps))
            pairs["embeddings"] = [(encoding.embedding, embedding[0]), (encoding.patch_embeddings, patch_embeddings[0])]
        figures = {name: max(itertools.starmap(_relative, arrays)) for name, arrays in pairs.items()}
        figures["probabilities"] = float(((actual - expected).abs() / expected.clamp(min=_SMALL)).max())
        figures["distances"] = abs(encoding.distance - distance) / distance
        for name, value in figures.items():
            differences.setdefault(name, []).append(value)
    return {name: max(values) for name, values in differences.items()}


@torch.inference_mode()
def _text_differences(model: Model, networks: Networks, texts: Sequence[NDArray[np.int64]]) -> dict[str, float]:
    """Largest difference of the embeddings of texts, encoded together and one by one."""
    if networks.joint is None:
        return {}
    padded = np.zeros((len(texts), max(map(len, texts))), np.int64)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = text
    alone = torch.cat([networks.joint.text(torch.from_numpy(text)[None]) for text in texts])
    return {"texts": _relative(model.encode_text(padded), alone)}


def _relative(actual: Floats | None, expected: Tensor) -> float:
    """Largest difference relative to the largest value."""
    assert actual is not None
    return float((torch.from_numpy(actual) - expected).abs().max() / expected.abs().max())


def made_image(generator: np.random.Generator, manifest: Manifest) -> Pixels:
    """A cloudy picture with noise."""
    size, channels = manifest.image_size, manifest.channels
    clouds = network_input(generator.integers(0, 256, (6, 6) if channels == 1 else (6, 6, 3), np.uint8), size)
    noise = generator.integers(-20, 21, clouds.shape)
    picture: Pixels = np.clip(clouds.astype(np.int64) + noise, 0, 255).astype(np.uint8)
    return picture


def _plan(generator: np.random.Generator, manifest: Manifest) -> Plan:
    """Up to four positive tags with random details, and as many denied as the bundle denies."""
    probabilities = generator.uniform(0.05, 0.95, len(manifest.reporting_tags)).astype(np.float32)
    positive = int(generator.integers(0, min(_MAX_POSITIVE, len(probabilities)) + 1))
    ranked = [int(t) for t in np.argsort(-probabilities, kind="stable")]
    told = [
        PlannedTopic((t,), details=frozenset(d for d in Detail if generator.random() < _DETAIL_SHARE))
        for t in ranked[:positive]
    ]
    denied = [PlannedTopic((t,), Certainty.ABSENT) for t in ranked[positive : positive + manifest.decoding.denials]]
    unusual = generator.normal(size=len(ranked)).astype(np.float32)
    impression = tuple(topic for topic in told if manifest.reporting_tags[topic.tags[0]].impression)
    return Plan(probabilities, unusual, (*told, *denied), impression or tuple(denied[:1]))
