"""The networks of a recipe, with start values."""

from __future__ import annotations

from typing import cast

from cxreport.train.config import TrainConfig
from cxreport.train.networks.captioner import Captioner, CaptionerSizes, make_captioner
from cxreport.train.networks.decoder import Attends, Decoder, DecoderSizes
from cxreport.train.networks.encoder import PATCH_DIM, PATCH_STRIDE


def new_decoder(config: TrainConfig, tags: int, words: int) -> Decoder:
    """A decoder that attends to what the architecture says."""
    d = config.reports
    attends = cast(Attends, config.architecture)
    return Decoder(
        DecoderSizes(tags, words, _patch_dim(config), d.hidden, d.word_dim, d.attention, d.top_tags, attends)
    )


def new_captioner(config: TrainConfig, words: int) -> Captioner:
    """A captioner of the recipe's architecture."""
    c = config.captioner
    places = (config.encoder.size // PATCH_STRIDE) ** 2 if c.places else 0
    sizes = CaptionerSizes(words, _patch_dim(config), c.hidden, c.word_dim, c.attention, places)
    return make_captioner(config.architecture, sizes)


def _patch_dim(config: TrainConfig) -> int:
    return max(1, int(PATCH_DIM * config.encoder.width))
