"""Parity: the exported graphs and the incremental decoder against the trained networks, decoded the plain way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxreport._beam import Words
from cxreport._captions import REPEATS, split
from cxreport.decode import decode
from cxreport.encode import encode
from cxreport.errors import ExportError
from cxreport.manifest import END, NO_WORD, PAD, UNK, Manifest
from cxreport.plan import make_plan
from cxreport.preprocess import network_input
from cxreport.session import Model
from cxreport.train.captioner import Captioner
from cxreport.train.decoder import Decoder, State
from cxreport.train.encoder import Encoder, to_input
from cxreport.train.half import rounded
from cxreport.train.joint import JointSpace, joint_features
from cxreport.train.typicality import Typicality
from cxreport.types import Detail, Encoding, Floats, Pixels, Plan, Section

TOLERANCE = 1e-3
"""Largest relative difference of features, probabilities and distances."""
INPUTS = 52
"""Studies that are decoded both ways; half of them with an image."""
_COMPARED = ("features", "probabilities", "distances", "embeddings", "texts")
_SEED = 7
_LIKELY = 0.5
_MAX_POSITIVE = 4
_DETAIL_SHARE = 0.3
_SMALL = 1e-4
"""Differences of smaller probabilities are relative to this: ONNX Runtime's sigmoid ends at 1e-8."""


@dataclass(frozen=True, eq=False)
class Networks:
    """What a bundle is made of, trained."""

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


Ids = list[tuple[Section, tuple[int, ...]]]


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
    for suffix, some in pairs.items():
        differences = _differences(encodings[:half], images[:half], some) | _text_differences(model, some, texts)
        figures |= {name + suffix: value for name, value in differences.items()}
    encodings += [Encoding({}, None, None)] * (INPUTS - len(images))
    plans = [make_plan(manifest, e) if captioning else _plan(generator, manifest) for e in encodings]
    written = [[(s.section, s.ids) for s in d.sentences] for d in decode(model, encodings, plans)]
    for suffix, some in pairs.items():
        plainly = [greedy(some.writer, manifest, e, p) for e, p in zip(encodings, plans, strict=True)]
        figures[f"identical{suffix}"] = sum(a == b for a, b in zip(written, plainly, strict=True))
    figures |= {"inputs": INPUTS, "distinct": len({tuple(ids) for ids in written})}
    compared = [name for name in figures if name in _COMPARED]
    if max(figures[name] for name in compared) > TOLERANCE or figures["identical"] < INPUTS:
        raise ExportError(f"The exported graphs differ from the trained networks: {figures}.")
    return figures


@torch.inference_mode()
def greedy(writer: Decoder | Captioner, manifest: Manifest, encoding: Encoding, plan: Plan) -> Ids:
    """Decode one study with the torch networks, one sentence and word after the other.

    Args:
        writer: in evaluation mode.
        manifest: lengths and reporting tags.
        encoding: with patch features or without.
        plan: of the study.
    """
    if isinstance(writer, Captioner):
        return _greedy_caption(writer, manifest, encoding)
    decoder, seen = writer, encoding.patches is not None
    patches = torch.from_numpy(encoding.patches)[None] if seen else torch.zeros(1, 1, decoder.sizes.patch_dim)
    tags = torch.zeros(1, decoder.sizes.tags)
    tags[0, list(plan.tags)] = torch.from_numpy(plan.probabilities[list(plan.tags)])
    unusual = torch.from_numpy(plan.unusual)[None] * float(manifest.decoding.planned)
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

    def step(word: Tensor, state: State) -> tuple[Tensor, State]:
        logits, state = decoder.word(topic, word, state)
        return logits, state

    def forbidden(ids: list[int]) -> list[int]:
        return [*banned, *(i for i in ids if manifest.long_words[i])]

    return _greedy_ids(manifest, step, decoder.start(1), forbidden, 3)


def _greedy_caption(captioner: Captioner, manifest: Manifest, encoding: Encoding) -> Ids:
    """Decode the report of an image as one sequence, and take it apart."""
    assert encoding.patches is not None
    seen = captioner.seen(torch.from_numpy(encoding.patches)[None])

    def step(word: Tensor, state: State) -> tuple[Tensor, State]:
        logits, _, state = captioner(seen, word, state)
        return logits, state

    ids = _greedy_ids(manifest, step, captioner.start(1), lambda _: [], REPEATS)
    return [(s.section, s.ids) for s in split(manifest, Words(ids, 0.0)).sentences]


def _greedy_ids(
    manifest: Manifest,
    step: Callable[[Tensor, State], tuple[Tensor, State]],
    state: State,
    forbidden: Callable[[list[int]], list[int]],
    repeats: int,
) -> tuple[int, ...]:
    """Take the likeliest word again and again, without ``forbidden`` ones and a phrase of ``repeats`` words twice."""
    word, ids = NO_WORD, list[int]()
    while len(ids) < manifest.decoding.max_words:
        logits, state = step(torch.tensor([word]), state)
        phrases = [ids[i : i + repeats] for i in range(len(ids) - repeats + 1)]
        repeating = [phrase[-1] for phrase in phrases if phrase[:-1] == ids[1 - repeats :]]
        early = [END] if len(ids) < manifest.decoding.min_words else []
        logits[0, [PAD, UNK, *forbidden(ids), *repeating, *early]] = -torch.inf
        word = int(logits.argmax())
        if word == END:
            break
        ids.append(word)
    return tuple(ids)


@torch.inference_mode()
def _differences(encodings: list[Encoding], images: list[Pixels], networks: Networks) -> dict[str, float]:
    """Largest differences of features and embeddings relative to an image's largest, of probabilities and distances."""
    found: dict[str, list[float]] = {}
    for encoding, image in zip(encodings, images, strict=True):
        maps = networks.encoder.maps(to_input(image[None]))
        patches, logits, _ = networks.encoder.read(maps)
        wanted, given = logits[0].sigmoid(), torch.tensor(list(encoding.tags.values()))
        distance = float(networks.typicality(maps))
        assert encoding.distance is not None
        pairs = {"features": [(encoding.patches, patches[0])]}
        if networks.joint:
            whole, embedded = networks.joint.image(*joint_features(maps))
            pairs["embeddings"] = [(encoding.embedding, whole[0]), (encoding.patch_embeddings, embedded[0])]
        figures = {name: max(_relative(a, b) for a, b in some) for name, some in pairs.items()}
        figures["probabilities"] = float(((given - wanted).abs() / wanted.clamp(min=_SMALL)).max())
        figures["distances"] = abs(encoding.distance - distance) / distance
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    return {name: max(values) for name, values in found.items()}


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


def _relative(given: Floats | None, wanted: Tensor) -> float:
    """Largest difference relative to the largest value."""
    assert given is not None
    return float((torch.from_numpy(given) - wanted).abs().max() / wanted.abs().max())


def made_image(generator: np.random.Generator, manifest: Manifest) -> Pixels:
    """A cloudy picture with noise."""
    size, channels = manifest.image_size, manifest.channels
    clouds = network_input(generator.integers(0, 256, (6, 6) if channels == 1 else (6, 6, 3), np.uint8), size)
    noise = generator.integers(-20, 21, clouds.shape)
    picture: Pixels = np.clip(clouds.astype(np.int64) + noise, 0, 255).astype(np.uint8)
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
