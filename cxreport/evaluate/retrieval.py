"""Retrieval between NIH images and Open-I reports, by findings' names and by images, beside plain tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets import openi
from cxreport.datasets.nih import FINDINGS, LabelledImages
from cxreport.datasets.report_files import WrittenReport
from cxreport.errors import UsageError
from cxreport.evaluate.bootstrap import Draws, Figure, draw_studies, estimate_by_rows, mean_statistics
from cxreport.evaluate.drafting import BATCH, EvaluateOptions, encode_images, missing_files_reported
from cxreport.evaluate.nih import read_val
from cxreport.evaluate.openi import split_name
from cxreport.evaluate.ranking import Relevant, Scores, cosine, precision_at, product
from cxreport.model.session import Model
from cxreport.retrieval.embed import embed_reports, embed_texts
from cxreport.retrieval.index_file import Entry
from cxreport.text import lexicon
from cxreport.text.tokens import has_known_word
from cxreport.train.data.pseudo_pairs import nih_vector
from cxreport.types import Floats

IMAGES, REPORTS = 10, 5
"""Length of the lists whose precision is measured: images for a finding, reports for an image."""
EMBEDDING, CONSTANT, RANDOM = "embedding", "constant", "random"
TAGS, COSINE, PRODUCT = "tags", "tags, cosine", "tags, product"


@dataclass(frozen=True)
class FindingRetrieval:
    """Ranking of all images by the name of a finding."""

    positives: int
    prevalence: float
    """The precision of a random order."""
    precision: dict[str, Figure]
    """Ranker, `EMBEDDING` or `TAGS`, the tag head's own probability -> share of positives in the first `IMAGES`."""


@dataclass(frozen=True)
class ReportRetrieval:
    """Ranking of the reports by images."""

    name: str
    """``labelled``: images with a label, where reports that share one are relevant; ``unlabelled``: images without,
    where those are that state no finding; ``all``."""
    images: int
    precision: dict[str, Figure]
    """Ranker -> share of relevant ones among the first `REPORTS`. `COSINE` and `PRODUCT` compare the tag head's
    probabilities with what a report states. `CONSTANT` is one list for all images: the reports whose stated findings
    are together the most frequent among the images' labels. `RANDOM` is the expected value."""
    distinct: dict[str, int]
    """Ranker -> number of different reports that its lists hold together, ties in the order of the collection."""


@dataclass(frozen=True)
class RetrievalFigures:
    """Everything measured of retrieval with a bundle's text encoder."""

    images: int
    split: str
    """Split of the reports."""
    reports: int
    findings: dict[str, FindingRetrieval]
    """Findings of the tag head, but for those without a word that the text encoder knows."""
    lifts: dict[str, Figure]
    """Ranker -> mean precision in units of the prevalence, over the findings with a positive."""
    groups: tuple[ReportRetrieval, ...]

    @property
    def signature(self) -> str:
        """Images, reports and what the precision is of."""
        sizes = f"{self.images} nih val images, {self.reports} openi {self.split} reports"
        return f"retrieval {sizes}, precision of {IMAGES} images and {REPORTS} reports, ties shared"


def evaluate_retrieval(
    model: Model, folder: Path, folders: Sequence[Path], options: EvaluateOptions
) -> RetrievalFigures:
    """Rank the val images and the val reports by each other's embeddings.

    Args:
        model: a bundle with a text encoder, whose tag head knows findings of NIH ChestX-ray14.
        folder: of Open-I, whose val reports are the collection.
        folders: of NIH ChestX-ray14, whose val images are taken together.
        options: how much is measured.

    Raises:
        UsageError: a file is missing, or no report has a word that the bundle knows.
        BundleError: the bundle has no text encoder.
    """
    images = reduce(add, read_val(folders, model.manifest.image_size, options.limit))
    embeddings, probabilities = _embed_images(model, images)
    names = [name for name in model.manifest.tag_names if name in FINDINGS]
    columns = [FINDINGS.index(name) for name in names]
    tags = probabilities[:, [model.manifest.tag_names.index(name) for name in names]]
    entries, statements = _embed_reports(model, folder, options.limit)
    queried = [i for i, name in enumerate(names) if has_known_word(model.manifest.text_vocabulary, _words(name))]
    queries = embed_texts(model, [_words(names[i]) for i in queried]) if queried else entries[:0]
    findings, lifts = measure_findings(
        {EMBEDDING: cosine(embeddings, queries), TAGS: tags[:, queried]},
        images.labels[:, [columns[i] for i in queried]] > 0,
        [names[i] for i in queried],
        draw_studies(len(images), options.bootstrap),
    )
    rankings = {
        EMBEDDING: cosine(embeddings, entries),
        COSINE: cosine(tags, statements[:, columns]),
        PRODUCT: product(tags, statements[:, columns]),
    }
    return RetrievalFigures(
        images=len(images),
        split=split_name(folder),
        reports=len(entries),
        findings=findings,
        lifts=lifts,
        groups=measure_reports(rankings, images.labels > 0, statements > 0, options.bootstrap),
    )


def measure_findings(
    rankings: Mapping[str, Scores], labels: Relevant, names: Sequence[str], draws: Draws
) -> tuple[dict[str, FindingRetrieval], dict[str, Figure]]:
    """Rank images by findings.

    Args:
        rankings: ranker -> (N, F) scores.
        labels: (N, F).
        names: of the F findings.
        draws: (B, N) of `draw_studies`.

    Returns:
        Figures of each finding, and ranker -> mean precision over prevalence, nan without any positive.
    """
    truth, scores = labels.T, {ranker: np.ascontiguousarray(columns.T) for ranker, columns in rankings.items()}

    def measure(rows: NDArray[np.intp]) -> list[float]:
        relevant = truth[:, rows]
        share = relevant.mean(1)
        precisions = [precision_at(ranking[:, rows], relevant, IMAGES) for ranking in scores.values()]
        positive = share > 0
        lifts = [(p[positive] / share[positive]).mean() if positive.any() else np.nan for p in precisions]
        return [float(value) for value in (*np.concatenate(precisions), *lifts)]

    keys = (*(f"{ranker} {name}" for ranker in scores for name in names), *scores)
    figures = estimate_by_rows(keys, measure, draws)
    findings = {
        name: FindingRetrieval(
            positives=int(labels[:, i].sum()),
            prevalence=float(labels[:, i].mean()),
            precision={ranker: figures[f"{ranker} {name}"] for ranker in scores},
        )
        for i, name in enumerate(names)
    }
    return findings, {ranker: figures[ranker] for ranker in scores}


def measure_reports(
    rankings: Mapping[str, Scores], labels: Relevant, statements: Relevant, resamples: int
) -> tuple[ReportRetrieval, ...]:
    """Rank reports by images, beside one list for all images and a random order.

    Args:
        rankings: ranker -> (N, M) scores.
        labels: (N, 14) of the images.
        statements: (M, 14) findings of the reports.
        resamples: of the intervals, over images.

    Returns:
        Figures of the images with a label, of those without, and of all; a group without images is left out.
    """
    labelled, abnormal = np.asarray(labels.any(1)), np.asarray(statements.any(1))
    shared = labels.astype(np.float32) @ statements.T.astype(np.float32) > 0
    relevant = np.where(labelled[:, None], shared, ~abnormal)
    frequent = product(labels.mean(0, dtype=np.float32)[None], statements.astype(np.float32))
    scores = {**rankings, CONSTANT: np.broadcast_to(frequent, relevant.shape)}
    precisions = {ranker: precision_at(rows, relevant, REPORTS) for ranker, rows in scores.items()}
    precisions[RANDOM] = relevant.mean(1)
    lists = {ranker: np.argsort(-rows, axis=1, kind="stable")[:, :REPORTS] for ranker, rows in scores.items()}
    groups = {"labelled": labelled, "unlabelled": ~labelled, "all": np.ones_like(labelled)}
    return tuple(
        ReportRetrieval(
            name=name,
            images=int(group.sum()),
            precision=_mean_precisions({ranker: shares[group] for ranker, shares in precisions.items()}, resamples),
            distinct={ranker: len(np.unique(rows[group])) for ranker, rows in lists.items()},
        )
        for name, group in groups.items()
        if group.any()
    )


def _mean_precisions(precisions: Mapping[str, NDArray[np.float64]], resamples: int) -> dict[str, Figure]:
    """Means over the images of a group, by ranker."""
    statistics = mean_statistics(tuple(precisions), np.column_stack(list(precisions.values())))
    return statistics.estimate(draw_studies(len(statistics.rows), resamples))


def _words(finding: str) -> str:
    """Words of a finding's name, as a query."""
    return finding.replace("_", " ")


def _embed_images(model: Model, images: LabelledImages) -> tuple[Floats, Floats]:
    """(N, E) embeddings and (N, T) tag probabilities."""
    embeddings, probabilities = [], []
    for encoding in encode_images(model, images.pixels):
        embeddings.append(encoding.embedding)
        probabilities.append([encoding.tags[name] for name in model.manifest.tag_names])
    return np.array(embeddings, np.float32), np.array(probabilities, np.float32)


def _embed_reports(model: Model, folder: Path, limit: int | None) -> tuple[Floats, Floats]:
    """(M, E) embeddings of the val reports with a known word, and (M, 14) the NIH findings that they state."""
    with missing_files_reported():
        val = openi.split_reports(openi.read_reports(folder), folder)[1][:limit]
    reports = [WrittenReport(str(r.uid), str(folder), r.findings, r.impression) for r in val]
    entries = [entry for entry in embed_reports(model, reports, BATCH) if isinstance(entry, Entry)]
    if not entries:
        raise UsageError(f"{folder}: no val report has a word that the bundle knows.")
    statements = [nih_vector(lexicon.packaged().affirmed_in((e.findings, e.impression))) for e in entries]
    return np.stack([entry.embedding for entry in entries]), np.stack(statements)
