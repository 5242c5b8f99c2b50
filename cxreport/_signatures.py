"""Inputs and outputs of the bundle's graphs: export declares them, loading checks them."""

from __future__ import annotations

from dataclasses import dataclass

from cxreport.bundle import Sizes
from cxreport.types import Detail

Shape = tuple[int | str, ...]
"""A name stands for a dimension that may have any length."""


@dataclass(frozen=True)
class Port:
    """An input or output of a graph."""

    name: str
    shape: Shape
    dtype: str = "float32"


@dataclass(frozen=True)
class Signature:
    """All inputs and outputs of a graph, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def signatures(sizes: Sizes) -> dict[str, Signature]:
    """What the graphs of a bundle take and give."""
    image, features, hidden, reporting = sizes.image, sizes.patch_dim, sizes.hidden, sizes.reporting_tags

    def state(rows: str, suffix: str = "") -> tuple[Port, Port]:
        return Port(f"hidden{suffix}", (rows, hidden)), Port(f"cell{suffix}", (rows, hidden))

    return {
        "encoder": Signature(
            (Port("image", ("B", 1, image, image), "uint8"),),
            (
                Port("patches", ("B", sizes.patches, features)),
                Port("probabilities", ("B", sizes.tags)),
                Port("embedding", ("B", features)),
                Port("distance", ("B",)),
            ),
        ),
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
        "word_step": Signature(
            (Port("topic", ("N", hidden)), Port("word", ("N",), "int64"), *state("N")),
            (Port("log_probabilities", ("N", sizes.words)), *state("N", "_out")),
        ),
    }
