"""The networks of a recipe, with start values."""

from __future__ import annotations

from cxreport.train.config import EncoderConfig, TrainConfig
from cxreport.train.networks.captioner import Captioner, CaptionerSizes, make_captioner
from cxreport.train.networks.decoder import Decoder, DecoderSizes
from cxreport.train.networks.encoder import Encoder
from cxreport.train.networks.encoders import ENCODERS
from cxreport.train.networks.factors import factor


def new_encoder(config: EncoderConfig, tags: int) -> Encoder:
    """The encoder that a recipe ends with, under a head for so many labels.

    Raises:
        ValueError: there is no encoder of that name, or it has no map of that depth or other convolutions than the
            recipe has ranks for.
    """
    encoder = whole_encoder(config, tags)
    if config.factors is not None:
        factor(encoder.features, config.factors.ranks)
    return encoder


def whole_encoder(config: EncoderConfig, tags: int) -> Encoder:
    """The encoder that a recipe names, before its convolutions are factored.

    Raises:
        ValueError: there is no encoder of that name, or it has no map of that depth.
    """
    check_encoder(config)
    return Encoder(ENCODERS[config.name](config.width), tags, patch_depth=config.patch_depth)


def check_encoder(config: EncoderConfig) -> None:
    """Look a recipe's encoder up in `ENCODERS`.

    Raises:
        ValueError: there is none of that name, or it has no map of the recipe's ``patch_depth``.
    """
    if config.name not in ENCODERS:
        raise ValueError(f"encoder.name: expected one of {tuple(ENCODERS)}, got {config.name!r}")
    maps = len(ENCODERS[config.name].strides)
    if not -maps <= config.patch_depth < 0:
        raise ValueError(f"encoder.patch_depth: expected -{maps} to -1, got {config.patch_depth}")


def new_decoder(config: TrainConfig, encoder: Encoder, tags: int, words: int) -> Decoder:
    """A decoder of the recipe's architecture."""
    table = config.reports
    sizes = DecoderSizes(
        tags=tags,
        words=words,
        patch_dim=encoder.patch_dim,
        hidden=table.hidden,
        word_dim=table.word_dim,
        attention=table.attention,
        top_tags=table.top_tags,
        attends_to=config.architecture.row.attends_to,
    )
    return Decoder(sizes)


def new_captioner(config: TrainConfig, encoder: Encoder, words: int) -> Captioner:
    """A captioner of the recipe's architecture."""
    table = config.captioner
    sizes = CaptionerSizes(
        words=words,
        patch_dim=encoder.patch_dim,
        hidden=table.hidden,
        word_dim=table.word_dim,
        attention=table.attention,
        places=encoder.patches(config.encoder.size) if table.places else 0,
        word_queries=table.word_queries,
    )
    return make_captioner(config.architecture, sizes)
