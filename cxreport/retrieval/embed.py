"""Embeddings of texts, reports and images in the space that they share."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cxreport.datasets.report_files import WrittenReport
from cxreport.errors import BundleError, InvalidTextError
from cxreport.model.encode import check_typical, encode
from cxreport.reading.batches import draft_safely, preprocessed_batches
from cxreport.retrieval.index import check_text_encoder
from cxreport.retrieval.index_file import Entry
from cxreport.text.tokens import has_known_word, text_ids
from cxreport.types import Failure, Floats, Study

if TYPE_CHECKING:
    from cxreport.model.session import Model


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
            error = InvalidTextError(
                "No word of the report is known to the bundle.", hint="Reports must be in English."
            )
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
        yield Entry(
            kind="report",
            id=report.id,
            source=report.source,
            embedding=embedding,
            findings=report.findings,
            impression=report.impression,
        )


def embed_images(
    model: Model, studies: Iterable[Study | Failure], batch_size: int, force: bool = False
) -> Iterator[Entry | Failure]:
    """Embed the frontal view of each study.

    Args:
        model: a loaded bundle.
        studies: from `read_studies`; read one batch ahead.
        batch_size: images that are embedded together.
        force: take also images that do not look like a chest radiograph.
    """
    check_text_encoder(model.manifest)
    embed = functools.partial(_embed_images, model, force)
    for batch in preprocessed_batches(studies, model.manifest.input_shape, batch_size):
        yield from draft_safely(embed, batch)


def _embed_images(model: Model, force: bool, studies: list[Study]) -> Iterator[Entry]:
    views = [(study.id, study.view) for study in studies if study.view is not None]
    encodings = encode(model, [view.pixels for _, view in views])
    for (id_, view), encoding in zip(views, encodings, strict=True):
        doubts = check_typical(model.manifest, encoding, force)
        if encoding.embedding is not None:
            yield Entry("image", id_, view.info.source, _unit(encoding.embedding), warnings=doubts)


def _unit(embeddings: Floats) -> Floats:
    """Refuse vectors of another length than 1, which would make similarities meaningless."""
    if not np.allclose(np.linalg.norm(embeddings, axis=-1), 1, atol=1e-3):
        raise BundleError("The bundle's embeddings do not have a length of 1.")
    return np.asarray(embeddings, np.float32)
