"""Parity: the exported graphs and the incremental decoder against the trained networks, decoded the plain way."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cxreport.bundle import END, NO_WORD, PAD, UNK, Manifest
from cxreport.decode import decode
from cxreport.encode import encode
from cxreport.errors import ExportError
from cxreport.preprocess import network_input
from cxreport.session import Model
from cxreport.train._graphs import rounded
from cxreport.train.decoder import Decoder
from cxreport.train.encoder import Encoder
from cxreport.train.typicality import Typicality
from cxreport.types import Detail, Encoding, Grey, Plan, Section

TOLERANCE = 1e-3
"""Largest relative difference of features, probabilities and distances."""
INPUTS = 52
"""Studies that are decoded both ways; half of them with an image."""
_COMPARED = ("features", "probabilities", "distances")
_SEED = 7
_LIKELY = 0.5
_MAX_POSITIVE = 4
_DETAIL_SHARE = 0.3
_SMALL = 1e-4
"""Differences of smaller probabilities are relative to this: ONNX Runtime's sigmoid ends at 1e-8."""

Ids = list[tuple[Section, tuple[int, ...]]]


def check_parity(model: Model, encoder: Encoder, decoder: Decoder, typicality: Typicality) -> dict[str, Any]:
    """Compare a loaded bundle with the networks that it was exported from.

    Figures without a suffix are against the networks with their weights rounded as the bundle stores them; those
    with ``_fp32`` against the networks as trained.

    Returns:
        largest relative differences and numbers of identical greedy decodings.

    Raises:
        ExportError: the difference to the rounded networks is too large, or a decoding differs.
    """
    generator = np.random.default_rng(_SEED)
    images = [_image(generator, model.manifest.image_size) for _ in range(INPUTS // 2)]
    encodings = encode(model, images)
    figures: dict[str, Any] = {}
    pairs = {"": (rounded(encoder), rounded(typicality)), "_fp32": (encoder.eval(), typicality)}
    for suffix, networks in pairs.items():
        figures |= {name + suffix: value for name, value in _differences(encodings, images, *networks).items()}
    encodings += [Encoding({}, None, None)] * (INPUTS - len(images))
    plans = [_plan(generator, model.manifest) for _ in encodings]
    written = [[(s.section, s.ids) for s in d.sentences] for d in decode(model, encodings, plans)]
    for suffix, writer in (("", rounded(decoder)), ("_fp32", decoder.eval())):
        plainly = [greedy(writer, model.manifest, e, p) for e, p in zip(encodings, plans, strict=True)]
        figures[f"identical{suffix}"] = sum(a == b for a, b in zip(written, plainly, strict=True))
    figures |= {"inputs": INPUTS, "distinct": len({tuple(ids) for ids in written})}
    if max(figures[name] for name in _COMPARED) > TOLERANCE or figures["identical"] < INPUTS:
        raise ExportError(f"The exported graphs differ from the trained networks: {figures}.")
    return figures


@torch.inference_mode()
def greedy(decoder: Decoder, manifest: Manifest, encoding: Encoding, plan: Plan) -> Ids:
    """Decode one study with the torch networks, one sentence and word after the other.

    Args:
        decoder: in evaluation mode.
        manifest: lengths and reporting tags.
        encoding: with patch features or without.
        plan: of the study.
    """
    seen = encoding.patches is not None
    patches = torch.from_numpy(encoding.patches)[None] if seen else torch.zeros(1, 1, decoder.sizes.patch_dim)
    tags = torch.zeros(1, decoder.sizes.tags)
    tags[0, list(plan.tags)] = torch.from_numpy(plan.probabilities[list(plan.tags)])
    unusual = torch.from_numpy(plan.unusual)[None]
    told = [(t, 1.0) for t in plan.tags] if manifest.decoding.planned else []
    denied = [(t, -1.0) for t in plan.denied] if manifest.decoding.planned else []
    repeated = [(t, sign) for t, sign in told if manifest.reporting_tags[t].impression]
    state, found = decoder.start(1), Ids()
    for number, (section, planned) in enumerate(zip(Section, (told + denied, repeated), strict=True)):
        written, going_on = 0, True
        while going_on:
            hot, detail = torch.zeros_like(tags), torch.zeros(1, len(Detail))
            for tag, sign in planned[written : written + 1]:
                hot[0, tag] = sign
                detail[0] = torch.tensor([float(sign > 0 and d in plan.details.get(tag, ())) for d in Detail])
            image, part = torch.tensor([float(seen)]), torch.tensor([number])
            out = decoder.sentence(patches, image, tags, unusual, hot, detail, part, state)
            state, written = out.state, written + 1
            ids = _greedy_words(decoder, manifest, out.topic, detail)
            if ids and (section, ids) not in found:
                found.append((section, ids))
            ends = bool(out.stop.sigmoid() > _LIKELY) or (number == 0 and bool(out.section.sigmoid() > _LIKELY))
            going_on = written < len(planned) or (written < manifest.decoding.max_sentences and not ends)
    return found


def _greedy_words(decoder: Decoder, manifest: Manifest, topic: Tensor, detail: Tensor) -> tuple[int, ...]:
    """Decode the sentence of one topic (1, hidden) without words of details (1, D) that it does not have."""
    unplanned = [d for d in range(len(Detail)) if manifest.decoding.planned and not detail[0, d]]
    banned = np.flatnonzero(manifest.detail_words[unplanned].any(0)).tolist()
    state, word, ids = decoder.start(1), NO_WORD, list[int]()
    while len(ids) < manifest.decoding.max_words:
        logits, state = decoder.word(topic, torch.tensor([word]), state)
        trigrams = set(zip(ids, ids[1:], ids[2:], strict=False))
        repeating = [c for a, b, c in trigrams if [a, b] == ids[-2:]]
        repeating += [i for i in ids if manifest.long_words[i]]
        early = [END] if len(ids) < manifest.decoding.min_words else []
        logits[0, [PAD, UNK, *banned, *repeating, *early]] = -torch.inf
        word = int(logits.argmax())
        if word == END:
            break
        ids.append(word)
    return tuple(ids)


@torch.inference_mode()
def _differences(
    encodings: list[Encoding], images: list[Grey], encoder: Encoder, typicality: Typicality
) -> dict[str, float]:
    """Largest difference of an image's features relative to its largest one, of any probability and any distance."""
    features, probabilities, distances = 0.0, 0.0, 0.0
    for encoding, image in zip(encodings, images, strict=True):
        assert encoding.patches is not None
        assert encoding.distance is not None
        maps = encoder.maps(torch.from_numpy(image.astype(np.float32))[None, None])
        patches, logits, _ = encoder.read(maps)
        found = torch.from_numpy(encoding.patches)
        features = max(features, float((found - patches[0]).abs().max() / patches.abs().max()))
        wanted, given = logits[0].sigmoid(), torch.tensor(list(encoding.tags.values()))
        probabilities = max(probabilities, float(((given - wanted).abs() / wanted.clamp(min=_SMALL)).max()))
        distance = float(typicality(maps))
        distances = max(distances, abs(encoding.distance - distance) / distance)
    return dict(zip(_COMPARED, (features, probabilities, distances), strict=True))


def _image(generator: np.random.Generator, size: int) -> Grey:
    """A cloudy picture with noise."""
    clouds = network_input(generator.integers(0, 256, (6, 6), np.uint8), size).astype(np.int64)
    noise = generator.integers(-20, 21, (size, size))
    picture: Grey = np.clip(clouds + noise, 0, 255).astype(np.uint8)
    return picture


def _plan(generator: np.random.Generator, manifest: Manifest) -> Plan:
    """Up to four positive tags, told in any way, and as many denied as the bundle denies."""
    probabilities = generator.uniform(0.05, 0.95, len(manifest.reporting_tags)).astype(np.float32)
    positive = int(generator.integers(0, min(_MAX_POSITIVE, len(probabilities)) + 1))
    ranked = [int(t) for t in np.argsort(-probabilities, kind="stable")]
    told, denied = ranked[:positive], ranked[positive : positive + manifest.decoding.denials]
    details = {t: frozenset(d for d in Detail if generator.random() < _DETAIL_SHARE) for t in told}
    unusual = generator.normal(size=len(ranked)).astype(np.float32)
    return Plan(probabilities, unusual, tuple(told), tuple(denied), details)
