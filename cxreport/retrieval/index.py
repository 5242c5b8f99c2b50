"""Retrieval: reports and images embedded in one space, kept in an index, and found by what they are near to."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.report_files import WrittenReport
from cxreport.errors import BundleError, InvalidTextError, RetrievalIndexError
from cxreport.model.encode import check_typical, encode
from cxreport.model.manifest import Manifest
from cxreport.reading.batches import batches, draft_safely
from cxreport.retrieval.index_file import KINDS, Entry, IndexFile, IndexWriter, Kind, open_index_file
from cxreport.text.tokens import has_known_word, text_ids
from cxreport.types import Encoding, Failure, Floats, Match, Report, Study

if TYPE_CHECKING:
    from cxreport.model.session import Model

__all__ = [
    "KINDS",
    "Entry",
    "Index",
    "IndexWriter",
    "Kind",
    "add_similar",
    "check_text_encoder",
    "embed_images",
    "embed_reports",
    "embed_texts",
    "open_index",
]

_ROUNDING = 1e-4
"""More than a product of two unit vectors in single precision can be wrong by."""
_LONGEST_SIMILARITY = 1.001
_ROWS = 4096


def check_text_encoder(manifest: Manifest) -> None:
    """Refuse a bundle whose images and texts share no space.

    Raises:
        BundleError: it has no text encoder.
    """
    if not manifest.embeds_texts:
        raise BundleError("The bundle has no text encoder.", hint="Name a bundle that has one with --model.")


def embed_texts(model: Model, texts: Sequence[str]) -> Floats:
    """Embed texts.

    Returns:
        (N, E) unit vectors.

    Raises:
        UsageError: no word of a text is known.
        BundleError: the bundle has no text encoder, or a broken one.
    """
    check_text_encoder(model.manifest)
    return _unit(model.encode_text(text_ids(model.manifest.text_vocabulary, texts)))


def embed_reports(
    model: Model, reports: Iterable[WrittenReport | Failure], batch_size: int
) -> Iterator[Entry | Failure]:
    """Embed the Findings and Impression of reports, ``batch_size`` at a time, in their order.

    Yields:
        An entry, or a failure for a report without a known word; failures come ahead of the batch that they are in.
    """
    batch: list[WrittenReport] = []
    for report in reports:
        if isinstance(report, Failure):
            yield report
        elif not has_known_word(model.manifest.text_vocabulary, report.text):
            error = InvalidTextError("No word of the report is known to the bundle.", hint="Reports are in English.")
            yield Failure(report.id, (report.source,), error)
        else:
            batch.append(report)
        if len(batch) == batch_size:
            yield from _embed_reports(model, batch)
            batch = []
    if batch:
        yield from _embed_reports(model, batch)


def _embed_reports(model: Model, batch: Sequence[WrittenReport]) -> Iterator[Entry]:
    embeddings = embed_texts(model, [report.text for report in batch])
    for report, embedding in zip(batch, embeddings, strict=True):
        yield Entry("report", report.id, report.source, embedding, report.findings, report.impression)


def embed_images(
    model: Model, studies: Iterable[Study | Failure], batch_size: int, force: bool = False
) -> Iterator[Entry | Failure]:
    """Embed the frontal view of each study.

    Args:
        model: a loaded bundle.
        studies: from `read_studies`; read one batch ahead.
        batch_size: studies that are read together.
        force: take also images that do not look like a chest radiograph.
    """
    check_text_encoder(model.manifest)
    embed = functools.partial(_embed_images, model, force)
    for batch in batches(model.manifest.image_size, model.manifest.channels, studies, batch_size):
        embedded = iter(draft_safely(embed, [study for study in batch if isinstance(study, Study)]))
        for study in batch:
            yield next(embedded) if isinstance(study, Study) else study


def _embed_images(model: Model, force: bool, studies: list[Study]) -> Iterator[Entry]:
    views = [(study, study.view) for study in studies]
    encodings = encode(model, [view.pixels for _, view in views if view is not None])
    for (study, view), encoding in zip(views, encodings, strict=True):
        doubts = check_typical(model.manifest, encoding, force)
        if view is not None and encoding.embedding is not None:
            yield Entry("image", study.id, view.info.source, _unit(encoding.embedding), warnings=doubts)


def _unit(embeddings: Floats) -> Floats:
    """Refuse what are no unit vectors, which would make similarities meaningless."""
    if not np.allclose(np.linalg.norm(embeddings, axis=-1), 1, atol=1e-3):
        raise BundleError("The bundle's embeddings have no length of 1.")
    return np.asarray(embeddings, np.float32)


class Index:
    """Embedded reports and images to search, exactly, by cosine."""

    def __init__(self, file: IndexFile) -> None:
        self.file = file

    @property
    def counts(self) -> dict[Kind, int]:
        """Entries of each kind."""
        return {kind: int((self.file.kinds == number).sum()) for number, kind in enumerate(KINDS)}

    def search(self, query: Floats, count: int, kinds: Sequence[Kind] = KINDS) -> dict[Kind, tuple[Match, ...]]:
        """Find what is nearest to a query.

        Similarities to reports and to images do not compare, so each kind has a list of its own.

        Args:
            query: (E,) unit vector.
            count: matches of each kind, fewer where the index has fewer.
            kinds: to look for.

        Returns:
            Matches of each kind, the nearest first, those of the same similarity in the index's order.

        Raises:
            RetrievalIndexError: the index is damaged.
        """
        embeddings = self.file.embeddings
        if query.shape != embeddings.shape[1:]:
            raise RetrievalIndexError(f"{self.file.path}: of another bundle, its embeddings have another length.")
        query = np.asarray(query, np.float32)
        with np.errstate(all="ignore"):
            similarity = embeddings @ query
            if not (np.abs(similarity) <= _LONGEST_SIMILARITY).all():
                raise RetrievalIndexError(f"{self.file.path}: damaged, its embeddings have no length of 1.")
        return {kind: self._best(similarity, query, count, kind) for kind in kinds}

    def _best(self, similarity: Floats, query: Floats, count: int, kind: Kind) -> tuple[Match, ...]:
        """The nearest of one kind.

        Equal rows may differ in the last bits of a large product, so those near the last place are compared again in
        double precision, row by row.
        """
        rows = np.flatnonzero(self.file.kinds == KINDS.index(kind))
        count = min(count, len(rows))
        if count < 1:
            return ()
        near = similarity[rows]
        rows = rows[near >= np.partition(near, -count)[-count] - _ROUNDING]
        exact = self._exact(rows, query)
        return tuple(self._match(int(rows[i]), float(exact[i])) for i in np.argsort(-exact, kind="stable")[:count])

    def _exact(self, rows: NDArray[np.intp], query: Floats) -> NDArray[np.float64]:
        """Similarities of a few rows, equal for equal rows."""
        parts = [rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)]
        return np.concatenate([(self.file.embeddings[part].astype(np.float64) * query).sum(1) for part in parts])

    def _match(self, row: int, similarity: float) -> Match:
        return Match(KINDS[self.file.kinds[row]], similarity=max(-1.0, min(1.0, similarity)), **self.file.fields(row))


def open_index(path: Path, manifest: Manifest | None = None) -> Index:
    """Open an index.

    Args:
        path: of the file.
        manifest: of the bundle to search it with; None only to look at it.

    Raises:
        BundleError: the bundle has no text encoder.
        RetrievalIndexError: missing, damaged, or built with another bundle.
    """
    file = open_index_file(path)
    if manifest is not None:
        check_text_encoder(manifest)
        if file.bundle_sha256 != manifest.origin:
            built = f"{file.bundle_name} {file.bundle_version} ({file.bundle_sha256[:12]})"
            raise RetrievalIndexError(
                f"{path}: built with another bundle, {built}.",
                hint="Name that bundle with --model, or build the index again with `cxreport index build`.",
            )
    return Index(file)


def add_similar(index: Index, report: Report, encoding: Encoding, count: int) -> Report:
    """Put the nearest reports of an index beside a drafted one; none, with a warning, where there is no image."""
    if encoding.embedding is None:
        warnings = (*report.warnings, "No nearest reports: they are found by the image, and there is none.")
        return replace(report, similar=(), warnings=warnings)
    return replace(report, similar=index.search(encoding.embedding, count, ["report"])["report"])
