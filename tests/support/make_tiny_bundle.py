"""Makes the bundles of the fast tests with the real export code: ``python tests/support/make_tiny_bundle.py``.

Their encoder is random and their writers have learned a few sentences by heart, so that reports depend on the image and
on the tags and can be read; what they say means nothing. One bundle is co-attention with a space of images and texts,
the other soft attention that sees colours.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from places import DATA
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.model.choices import Architecture
from cxreport.model.manifest import DecodingDefaults, DistanceLimits, EvidenceModel, ReportingTag, Tag
from cxreport.text.vocabulary import END, FULL_STOP, NEXT_SECTION, PAD, SPECIAL_WORDS
from cxreport.train.config import JointConfig
from cxreport.train.data.joint_data import JointData, JointImages, JointTexts
from cxreport.train.export.parity import Networks
from cxreport.train.export.write_bundle import BundleDescription, write_bundle
from cxreport.train.fit.joint import new_space
from cxreport.train.fit.typicality import fit_typicality
from cxreport.train.networks.captioner import Captioner, CaptionerSizes, make_captioner
from cxreport.train.networks.decoder import Decoder, DecoderSizes, StudyInput, TopicInput
from cxreport.train.networks.encoder import Encoder
from cxreport.train.networks.encoders.vgg19 import Vgg19
from cxreport.train.networks.joint import JointSpace, joint_features
from cxreport.types import Detail

FOLDER = DATA / "tiny_bundle"
CAPTION_FOLDER = DATA / "tiny_captioner"
IMAGE_SIZE = 32
NIH = [
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"),
    *("Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"),
]
# The NIH findings that are evidence of each reporting tag; none for the last.
REPORTING = {
    "Pleural Effusion": ("Effusion",),
    "Cardiomegaly": ("Cardiomegaly",),
    "Atelectasis": ("Atelectasis",),
    "Lung Opacity": ("Infiltration", "Consolidation", "Mass"),
    "Pneumothorax": ("Pneumothorax",),
    "Granuloma": (),
}
PLACES = {
    "Pleural Effusion": 0.6,
    "Cardiomegaly": 0.2,
    "Atelectasis": 0.4,
    "Lung Opacity": 0.3,
    "Pneumothorax": 0.5,
    "Granuloma": 0.7,
}
FINDINGS = {
    "Pleural Effusion": "there is a pleural effusion",
    "Cardiomegaly": "the heart is enlarged",
    "Atelectasis": "there is patchy atelectasis",
    "Lung Opacity": "there is a focal opacity",
    "Pneumothorax": "there is a pneumothorax",
    "Granuloma": "there is a calcified granuloma of 5 mm",
}
IMPRESSION = {
    "Pleural Effusion": "pleural effusion is present",
    "Cardiomegaly": "cardiomegaly is present",
    "Atelectasis": "patchy atelectasis is present",
    "Lung Opacity": "focal opacity is present",
    "Pneumothorax": "pneumothorax is present",
}
NORMAL = (
    "the heart , mediastinum and hila are normal",
    "the lungs are clear",
    "no pneumothorax or pleural effusion",
)
FREE = "the visualized bony structures are intact"
NOTHING = "no acute cardiopulmonary disease"
SENTENCES = (*FINDINGS.values(), *IMPRESSION.values(), *NORMAL, FREE, NOTHING)
WORDS = sorted({word for sentence in SENTENCES for word in sentence.split()})
WARN, REFUSE = 4.0, 6.0  # drawings and flat grey stay below, noise is beyond
VOCABULARY = (*SPECIAL_WORDS, *WORDS)
EXTRA_WORDS = ("infiltration", "left", "right")
"""What the text encoder knows beyond the vocabulary."""
CAPTION_VOCABULARY = (*VOCABULARY, FULL_STOP, NEXT_SECTION)
IMPRESSIONS = (NOTHING, IMPRESSION["Lung Opacity"])
"""Of dark pictures and of bright ones."""


class Sentence(NamedTuple):
    """Section, planned tag and text of a sentence to be learned."""

    section: int
    tag: int | None
    text: str


def make(folder: Path, steps: int = 800) -> dict[str, Any]:
    """Write the bundle into a folder, its decoder taught for some steps; returns the figures of its export."""
    torch.set_num_threads(1)  # sums of several threads come in any order, and the bundle is to be the same each time
    torch.manual_seed(20261124)
    encoder = Encoder(Vgg19(3 / 128), len(NIH)).eval()
    pictures = _pictures()
    _spread(encoder, pictures)
    typicality = fit_typicality(encoder, pictures.squeeze(1).to(torch.uint8).numpy())
    sizes = DecoderSizes(
        tags=len(REPORTING),
        words=len(VOCABULARY),
        patch_dim=encoder.tag_head.in_features,
        hidden=24,
        word_dim=13,
        attention=6,
        top_tags=4,
    )
    decoder = Decoder(sizes)
    _teach(decoder, steps)
    networks = Networks(encoder, decoder.eval(), typicality, _joint(encoder, pictures))
    return write_bundle(folder, networks, _description())


def make_captioner_bundle(
    folder: Path, steps: int = 500, architecture: Architecture = Architecture.SOFT_ATTENTION
) -> dict[str, Any]:
    """Write the bundle of a captioner, taught for some steps; returns the figures of its export."""
    torch.set_num_threads(1)
    torch.manual_seed(20261124)
    encoder = Encoder(Vgg19(3 / 128), len(NIH)).eval()
    colours = _coloured(512)
    _standardise(encoder, colours)
    typicality = fit_typicality(encoder, _pixels(torch.cat([colours[:64], _pictures().expand(-1, 3, -1, -1)])))
    sizes = CaptionerSizes(len(CAPTION_VOCABULARY), encoder.tag_head.in_features, 24, 16, 8)
    captioner = make_captioner(architecture, sizes).eval()  # without dropout, which slows down what is to be learned
    _teach_captions(captioner, encoder, colours, steps)
    description = replace(
        _description(),
        name="tiny-captioner",
        architecture=architecture,
        reporting_tags=(),
        evidence={},
        aliases={},
        extra_words=(),
        vocabulary=CAPTION_VOCABULARY,
        decoding=DecodingDefaults(max_sentences=1, min_words=3, max_words=40, planned=False),
    )
    return write_bundle(folder, Networks(encoder, captioner, typicality, channels=3), description)


def _teach_captions(captioner: Captioner, encoder: Encoder, pictures: Tensor, steps: int, batch: int = 32) -> None:
    """Make the captioner tell the pictures' colours and brightness, in sentences that mean something else."""
    with torch.inference_mode():
        patches = encoder(pictures)[0]
    index = {word: i for i, word in enumerate(CAPTION_VOCABULARY)}
    texts = [torch.tensor([*map(index.__getitem__, _caption(picture).split()), END]) for picture in pictures]
    words = nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=PAD)
    optimiser = torch.optim.Adam(captioner.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.03, steps)
    for _ in range(steps):
        rows = torch.randperm(len(pictures))[:batch]
        written = captioner.words(patches[rows].clone(), words[rows])
        loss = F.cross_entropy(written.logits, written.targets)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(captioner.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def _caption(picture: Tensor) -> str:
    """One of twelve reports: the strongest colour and whether the upper half is brighter; whether all is bright."""
    strongest, brightness = int(picture.mean((1, 2)).argmax()), picture.mean((0, 2))
    upper, lower = brightness[: IMAGE_SIZE // 2].mean(), brightness[IMAGE_SIZE // 2 :].mean()
    told = [list(FINDINGS.values())[2 * strongest + int(upper > lower)]]
    bright = upper + lower > 255
    marks = f" {FULL_STOP} "
    told += [FREE] * bool(bright)
    return f"{marks.join(told)} {FULL_STOP} {NEXT_SECTION} {IMPRESSIONS[bool(bright)]} {FULL_STOP}"


def _coloured(number: int) -> Tensor:
    """Clouds in colour with noise, (N, 3, S, S); each colour and the upper half more or less bright."""
    coarse = torch.rand(number, 3, 6, 6) + (torch.rand(number, 3, 1, 1) - 0.5) * 0.6
    coarse += (torch.rand(number, 1, 1, 1) - 0.5) * torch.tensor([1.0] * 3 + [-1.0] * 3).view(6, 1)
    clouds = F.interpolate(coarse, size=IMAGE_SIZE, mode="bilinear")
    return (clouds + (torch.rand(number, 3, IMAGE_SIZE, IMAGE_SIZE) - 0.5) * 0.16).clamp(0, 1) * 255


def _pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """(N, 3, S, S) -> (N, S, S, 3)."""
    pixels: NDArray[np.uint8] = pictures.permute(0, 2, 3, 1).to(torch.uint8).numpy()
    return pixels


@torch.no_grad()
def _standardise(encoder: Encoder, pictures: Tensor) -> None:
    """Make every channel of every depth standard normal before its ReLU, so that pictures differ in every feature.

    In random networks without that, what pictures have in common grows from depth to depth, and the layer norm that
    the captioners begin with leaves nothing else.
    """
    x = (pictures / 255 - encoder.mean) / encoder.std
    for layer in encoder.features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            found = layer(x)
            deviation = found.std((0, 2, 3)).clamp(min=1e-3)
            layer.weight.div_(deviation.view(-1, 1, 1, 1))
            layer.bias.sub_(found.mean((0, 2, 3))).div_(deviation)
        x = layer(x)
    encoder.norm.running_mean.copy_(encoder(pictures)[2].mean(0))
    nn.init.normal_(encoder.tag_head.weight, std=0.7)
    nn.init.constant_(encoder.tag_head.bias, -1.5)


def _joint(encoder: Encoder, pictures: Tensor) -> JointSpace:
    """A space with random weights that standardises as the pictures demand."""
    with torch.inference_mode():
        features, patches = joint_features(encoder.maps(pictures))
    labels = torch.eye(len(NIH))[torch.arange(len(pictures)) % len(NIH)]
    images = JointImages(features.clone(), patches.half(), labels)
    words = len(VOCABULARY) + len(EXTRA_WORDS)
    none = JointTexts(torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, len(NIH)))
    data = JointData(images, images, none, none, torch.zeros(len(NIH), 1, dtype=torch.int64), tuple(NIH))
    config = JointConfig(embedding=4, word_dim=4, hidden=4, patch_hidden=4)
    space = new_space(config, data, words)
    nn.init.normal_(space.image.position, std=0.1)
    return space.eval()


def _pictures() -> Tensor:
    """Clouds with more or less noise, (64, 1, S, S)."""
    clouds = F.interpolate(torch.rand(64, 1, 5, 5), size=IMAGE_SIZE, mode="bilinear")
    return (clouds + torch.randn(64, 1, IMAGE_SIZE, IMAGE_SIZE) * torch.rand(64, 1, 1, 1) * 0.1).clamp(0, 1) * 255


@torch.no_grad()
def _spread(encoder: Encoder, pictures: Tensor) -> None:
    """Scale the weights so that pictures differ in their features and some tags are positive."""
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, std=0.1)
    last = encoder.features[-2]
    deviation = encoder(pictures)[2].std(0).clamp(min=1e-3)
    last.weight.div_(deviation.view(-1, 1, 1, 1))
    last.bias.div_(deviation)
    encoder.norm.running_mean.copy_(encoder(pictures)[2].mean(0))
    nn.init.normal_(encoder.tag_head.weight, std=0.7)
    nn.init.constant_(encoder.tag_head.bias, -1.5)


def _teach(decoder: Decoder, steps: int, batch: int = 16) -> None:
    """Make the decoder learn the sentences by heart."""
    optimiser = torch.optim.Adam(decoder.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.02, steps)
    random = np.random.default_rng(1)
    for _ in range(steps):
        loss = _loss(decoder, [_outline(random) for _ in range(batch)])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def _loss(decoder: Decoder, outlines: list[list[Sentence]]) -> Tensor:
    """Losses of a batch of reports, half of them with patch features that mean nothing."""
    batch, length, tags = len(outlines), max(map(len, outlines)), decoder.sizes.tags
    plans, sections = torch.zeros(batch, length, tags), torch.zeros(batch, length, dtype=torch.int64)
    details = (torch.rand(batch, length, len(Detail)) < 0.3).float()  # all the same to these sentences
    stop, following = torch.full((2, batch, length), -1.0)
    texts = []
    for b, outline in enumerate(outlines):
        for s, (section, tag, text) in enumerate(outline):
            plans[b, s] = F.one_hot(torch.tensor(tag), tags) if tag is not None else 0
            sections[b, s] = section
            stop[b, s] = s == len(outline) - 1
            following[b, s] = outline[min(s + 1, len(outline) - 1)].section
            texts.append(torch.tensor([*(VOCABULARY.index(word) for word in text.split()), END]))
    shown = plans.amax(1) * (torch.rand(batch, tags) * 0.5 + 0.5)
    patches, has_image = torch.randn(batch, 4, decoder.sizes.patch_dim), (torch.rand(batch) < 0.5).float()
    unusual = torch.randn(batch, tags)
    study = StudyInput(patches, has_image, shown, unusual)
    topics, stops, nexts = decoder.topics(study, TopicInput(plans, details, sections))
    real = stop >= 0
    words = nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=PAD)
    return (
        F.cross_entropy(decoder.words(topics[real], words).flatten(0, 1), words.flatten(), ignore_index=PAD)
        + F.binary_cross_entropy_with_logits(stops[real], stop[real])
        + F.binary_cross_entropy_with_logits(nexts[real], following[real])
    )


def _outline(random: np.random.Generator) -> list[Sentence]:
    """The report of a random set of tags in random order."""
    planned = random.permutation(len(REPORTING))[: random.integers(0, len(REPORTING))].tolist()
    names = list(REPORTING)
    findings = [Sentence(0, tag, FINDINGS[names[tag]]) for tag in planned]
    free = [Sentence(0, None, text) for text in ((FREE,) if planned else NORMAL)]
    impression = [Sentence(1, tag, IMPRESSION[names[tag]]) for tag in planned if names[tag] in IMPRESSION]
    return [*findings, *free, *(impression or [Sentence(1, None, NOTHING)])]


def _description() -> BundleDescription:
    return BundleDescription(
        name="tiny",
        version="0",
        image_size=IMAGE_SIZE,
        tags=tuple(Tag(name, 0.5) for name in NIH),
        reporting_tags=tuple(
            ReportingTag(name, name != "Granuloma", name != "Granuloma", PLACES[name]) for name in REPORTING
        ),
        evidence={"head": _evidence(1.0, 0.5), "chexnet": _evidence(1.2, 0.4)},
        vocabulary=VOCABULARY,
        extra_words=EXTRA_WORDS,
        decoding=DecodingDefaults(max_sentences=5, min_words=3, max_words=15, planned=True, denials=0),
        typicality=DistanceLimits(warn=WARN, refuse=REFUSE),
        licence="Apache-2.0",
        intended_use="Tests of cxreport only.",
        provenance={"made_by": "tests/make_tiny_bundle.py"},
        gpu_graphs=False,  # would be half as large again
        aliases={"Effusion": "Pleural Effusion", "Infiltration": "Lung Opacity", "Consolidation": "Lung Opacity"},
    )


def _evidence(weight: float, threshold: float) -> EvidenceModel:
    weights = np.array([[weight * (n in inputs) for n in NIH] for inputs in REPORTING.values()], np.float32)
    bias = np.array([0.3 * len(inputs) if inputs else -20 for inputs in REPORTING.values()], np.float32)
    vectors = (np.full(len(REPORTING), p, np.float32) for p in (threshold, 0.6, 0.9, -2, 1.5))
    return EvidenceModel(tuple(NIH), weights, bias, *vectors)


if __name__ == "__main__":
    print(json.dumps([make(FOLDER), make_captioner_bundle(CAPTION_FOLDER)], indent=1))
