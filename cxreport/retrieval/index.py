"""Index of embedded reports and images: exact search by cosine similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import BundleError, RetrievalIndexError
from cxreport.model.manifest import Manifest
from cxreport.retrieval.index_file import IndexFile
from cxreport.retrieval.index_layout import KINDS
from cxreport.types import Encoding, EntryKind, Floats, Match, Report

_ROUNDING = 1e-4
"""Bound of the rounding error of a product of two unit vectors in single precision."""
_MAX_SIMILARITY = 1.001


def check_text_encoder(manifest: Manifest) -> None:
    """Refuse a bundle whose images and texts do not share a space.

    Raises:
        BundleError: it has no text encoder.
    """
    if not manifest.embeds_texts:
        raise BundleError("The bundle has no text encoder.", hint="Name a bundle that has one with --model.")


class Index:
    """Embedded reports and images of an index file."""

    def __init__(self, file: IndexFile) -> None:
        self.file = file

    @property
    def counts(self) -> dict[EntryKind, int]:
        """Entries of each kind."""
        return {kind: int((self.file.kinds == number).sum()) for number, kind in enumerate(KINDS)}

    def search(
        self, query: Floats, count: int, kinds: Sequence[EntryKind] = KINDS
    ) -> dict[EntryKind, tuple[Match, ...]]:
        """Find the entries nearest to a query.

        Similarities to reports and to images are not comparable, so each kind has a list of its own.

        Args:
            query: (E,) unit vector.
            count: matches of each kind, fewer where the index has fewer.
            kinds: of the matches.

        Returns:
            Matches of each kind, the nearest first, those of the same similarity in the index's order.

        Raises:
            RetrievalIndexError: the index is damaged.
        """
        if query.shape != (self.file.width,):
            raise RetrievalIndexError(
                f"{self.file.path}: built with another bundle, its embeddings have another length."
            )
        query = np.asarray(query, np.float32)
        similarity = np.empty(self.file.entries, np.float32)
        with np.errstate(all="ignore"):
            for first, embeddings in self.file.embeddings():
                similarity[first : first + len(embeddings)] = embeddings @ query
            if not (np.abs(similarity) <= _MAX_SIMILARITY).all():
                raise RetrievalIndexError(f"{self.file.path}: damaged, its embeddings do not have a length of 1.")
        return {kind: self._best(similarity, query, count, kind) for kind in kinds}

    def _best(self, similarity: Floats, query: Floats, count: int, kind: EntryKind) -> tuple[Match, ...]:
        """The nearest of one kind.

        Equal rows may differ in the last bits of a large product, so those near the last place are compared again in
        double precision, row by row.
        """
        rows = np.flatnonzero(self.file.kinds == KINDS.index(kind))
        count = min(count, len(rows))
        if count < 1:
            return ()
        last_place = np.partition(similarity[rows], -count)[-count]
        rows = rows[similarity[rows] >= last_place - _ROUNDING]
        exact = self._exact(rows, query)
        return tuple(self._match(int(rows[i]), float(exact[i])) for i in np.argsort(-exact, kind="stable")[:count])

    def _exact(self, rows: NDArray[np.intp], query: Floats) -> NDArray[np.float64]:
        """Similarities of a few rows, equal for equal rows."""
        return np.array([float((self.file.embedding(int(row))[0].astype(np.float64) * query).sum()) for row in rows])

    def _match(self, row: int, similarity: float) -> Match:
        return Match(KINDS[self.file.kinds[row]], similarity=max(-1.0, min(1.0, similarity)), **self.file.fields(row))


def open_index(path: Path, manifest: Manifest | None = None) -> Index:
    """Open an index.

    Args:
        path: of the file.
        manifest: of the bundle whose queries it is searched with; None where it is not searched.

    Raises:
        BundleError: the bundle has no text encoder.
        RetrievalIndexError: missing, damaged, or built with another bundle.
    """
    file = IndexFile(path)
    if manifest is not None:
        check_text_encoder(manifest)
        if file.bundle_sha256 != manifest.origin:
            bundle = f"{file.bundle_name} {file.bundle_version} ({file.bundle_sha256[:12]})"
            raise RetrievalIndexError(
                f"{path}: built with another bundle, {bundle}.",
                hint="Name that bundle with --model, or build the index again with `cxreport index build`.",
            )
    return Index(file)


def add_similar(index: Index, report: Report, encoding: Encoding, count: int) -> Report:
    """Put the nearest reports of an index beside a drafted one; none, with a warning, where there is no image."""
    if encoding.embedding is None:
        warnings = (*report.warnings, "No nearest reports: the search starts from an image, and the study has none.")
        return replace(report, similar=(), warnings=warnings)
    return replace(report, similar=index.search(encoding.embedding, count, ["report"])["report"])
