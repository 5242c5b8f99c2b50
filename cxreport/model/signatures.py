"""Signatures of the bundle's graphs, their inputs and outputs: export declares them, loading checks them."""

from __future__ import annotations

from dataclasses import dataclass

from cxreport.model.choices import Architecture
from cxreport.model.manifest import ENCODER, HALF_ENCODER, TEXT_ENCODER, WORD_SEARCH, Sizes, graph_names
from cxreport.types import Detail

Shape = tuple[int | str, ...]
"""Lengths of the dimensions; a name stands for one that may have any length."""


@dataclass(frozen=True)
class Port:
    """Input or output of a graph."""

    name: str
    shape: Shape
    dtype: str = "float32"


@dataclass(frozen=True)
class Signature:
    """All inputs and outputs of a graph, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def signatures(sizes: Sizes, architecture: Architecture, text_encoder: bool) -> dict[str, Signature]:
    """Signatures of the graphs of a bundle, those for GPUs included."""
    features, hidden, reporting = sizes.patch_dim, sizes.hidden, sizes.reporting_tags

    def state(rows: str, suffix: str = "") -> tuple[Port, Port]:
        return Port(f"hidden{suffix}", (rows, hidden)), Port(f"cell{suffix}", (rows, hidden))

    words, word = Port("log_probabilities", ("N", sizes.words)), Port("word", ("N",), "int64")
    patches = Port("patches", ("N", sizes.patches, features))
    attention = (Port("attention", ("N", sizes.patches)),) if "patches" in architecture.row.attends_to else ()
    all_signatures = {
        ENCODER: _encoder(sizes, text_encoder),
        HALF_ENCODER: _encoder(sizes, text_encoder),
        "sentence_step": Signature(
            (
                Port("patches", ("B", "P", features)),
                Port("has_image", ("B",)),
                Port("tags", ("B", reporting)),
                Port("unusual", ("B", reporting)),
                Port("plan", ("B", reporting)),
                Port("detail", ("B", len(Detail))),
                Port("section", ("B",), "int64"),
                *state("B"),
            ),
            (
                Port("topic", ("B", hidden)),
                Port("stop", ("B",)),
                Port("section_next", ("B",)),
                Port("attention", ("B", "P")),
                *state("B", "_out"),
            ),
        ),
        "word_step": Signature((Port("topic", ("N", hidden)), word, *state("N")), (words, *state("N", "_out"))),
        WORD_SEARCH: Signature(
            (
                Port("topic", ("N", hidden)),
                Port("words", ("N", "L"), "int64"),
                Port("total", ("N",)),
                *state("N"),
                Port("banned", ("N", sizes.words), "bool"),
                Port("once", (sizes.words,), "bool"),
                Port("may_end", (1,), "bool"),
            ),
            (
                Port("best", ("N",), "int64"),
                Port("words_out", ("N", "L"), "int64"),
                Port("total_out", ("N",)),
                *state("N", "_out"),
            ),
        ),
        "caption_step": Signature((patches, word, *state("N")), (words, *attention, *state("N", "_out"))),
        TEXT_ENCODER: Signature((Port("words", ("N", "T"), "int64"),), (Port("embedding", ("N", sizes.embedding)),)),
    }
    names = graph_names(architecture, text_encoder)
    gpu_names = (HALF_ENCODER, WORD_SEARCH) if "word_step" in names else (HALF_ENCODER,)
    return {name: all_signatures[name] for name in (*names, *gpu_names)}


def _encoder(sizes: Sizes, text_encoder: bool) -> Signature:
    """Signature of the encoder, with patches in the space of texts where the bundle has a text encoder."""
    outputs = (
        Port("patches", ("B", sizes.patches, sizes.patch_dim)),
        Port("probabilities", ("B", sizes.tags)),
        Port("embedding", ("B", sizes.embedding)),
        Port("distance", ("B",)),
    )
    embedded = (Port("patch_embeddings", ("B", sizes.patch_embeddings, sizes.embedding)),) if text_encoder else ()
    return Signature((Port("image", ("B", sizes.channels, sizes.image, sizes.image), "uint8"),), outputs + embedded)
