"""Retrieval between NIH images and Open-I reports: what a finding's name and an image bring up, beside plain tags."""

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
from cxreport.evaluate.drafting import EvaluateOptions, missing_data_told
from cxreport.evaluate.grounding.encode_once import encode_grey
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
"""How many of the first images, or reports, the precision is of."""
EMBEDDING, CONSTANT, RANDOM = "embedding", "constant", "random"
TAGS, COSINE, PRODUCT = "tags", "tags, cosine", "tags, product"
_BATCH = 32


@dataclass(frozen=True)
class FindingRetrieval:
    """What the name of a finding brings up among all images."""

    positives: int
    prevalence: float
    """The precision of a random order."""
    precision: dict[str, Figure]
    """By `EMBEDDING`, and by `TAGS`, the tag head's own probability -> share of positives among the first `IMAGES`."""


@dataclass(frozen=True)
class ReportRetrieval:
    """What images bring up among the reports."""

    name: str
    """``labelled``: images with a label, where reports that share one are relevant; ``unlabelled``: images without,
    where those are that state no finding; ``all``."""
    images: int
    precision: dict[str, Figure]
    """Who ranks -> share of relevant ones among the first `REPORTS`. `COSINE` and `PRODUCT` compare the tag head's
    probabilities with what a report states. `CONSTANT` is one list for all images: the reports whose stated findings
    are together the most frequent among the images' labels. `RANDOM` is the expected value."""
    distinct: dict[str, int]
    """Who ranks -> how many different reports its lists hold together, ties in the order of the collection."""


@dataclass(frozen=True)
class RetrievalFigures:
    """Everything measured of a bundle with a text encoder."""

    images: int
    split: str
    """Of the reports."""
    reports: int
    findings: dict[str, FindingRetrieval]
    """Of the tag head, by name, but for those without a word that the text encoder knows."""
    lifts: dict[str, Figure]
    """Who ranks -> mean precision in units of the prevalence, over the findings with a positive."""
    groups: tuple[ReportRetrieval, ...]


def evaluate_retrieval(
    model: Model, folder: Path, folders: Sequence[Path], options: EvaluateOptions
) -> RetrievalFigures:
    """Embed the val images and the val reports, and see which come first for each other.

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
    shown = probabilities[:, [model.manifest.tag_names.index(name) for name in names]]
    entries, stated = _embed_reports(model, folder, options.limit)
    known = [i for i, name in enumerate(names) if has_known_word(model.manifest.text_vocabulary, _words(name))]
    queries = embed_texts(model, [_words(names[i]) for i in known]) if known else entries[:0]
    findings, lifts = measure_findings(
        {EMBEDDING: cosine(embeddings, queries), TAGS: shown[:, known]},
        images.labels[:, [columns[i] for i in known]] > 0,
        [names[i] for i in known],
        draw_studies(len(images), options.bootstrap),
    )
    rankings = {
        EMBEDDING: cosine(embeddings, entries),
        COSINE: cosine(shown, stated[:, columns]),
        PRODUCT: product(shown, stated[:, columns]),
    }
    groups = measure_reports(rankings, images.labels > 0, stated > 0, options.bootstrap)
    return RetrievalFigures(len(images), split_name(folder), len(entries), findings, lifts, groups)


def measure_findings(
    rankings: Mapping[str, Scores], labels: Relevant, names: Sequence[str], draws: Draws
) -> tuple[dict[str, FindingRetrieval], dict[str, Figure]]:
    """Rank images by findings.

    Args:
        rankings: who ranks -> (N, F) scores.
        labels: (N, F).
        names: of the F findings.
        draws: (B, N) of `draw_studies`.

    Returns:
        Figures of each finding, and who ranks -> mean precision over prevalence, nan without any positive.
    """
    truth, scores = labels.T, {who: np.ascontiguousarray(some.T) for who, some in rankings.items()}

    def measure(rows: NDArray[np.intp]) -> list[float]:
        relevant = truth[:, rows]
        share = relevant.mean(1)
        precisions = [precision_at(some[:, rows], relevant, IMAGES) for some in scores.values()]
        kept = share > 0
        lifts = [(some[kept] / share[kept]).mean() if kept.any() else np.nan for some in precisions]
        return [float(value) for value in (*np.concatenate(precisions), *lifts)]

    keys = (*(f"{who} {name}" for who in scores for name in names), *scores)
    figures = estimate_by_rows(keys, measure, draws)
    found = {
        name: FindingRetrieval(
            int(labels[:, i].sum()),
            float(labels[:, i].mean()),
            {who: figures[f"{who} {name}"] for who in scores},
        )
        for i, name in enumerate(names)
    }
    return found, {who: figures[who] for who in scores}


def measure_reports(
    rankings: Mapping[str, Scores], labels: Relevant, stated: Relevant, resamples: int
) -> tuple[ReportRetrieval, ...]:
    """Rank reports by images, beside one list for all images and a random order.

    Args:
        rankings: who ranks -> (N, M) scores.
        labels: (N, 14) of the images.
        stated: (M, 14) findings of the reports.
        resamples: of the intervals, over images.

    Returns:
        Figures of the images with a label, of those without, and of all; a group without images is left out.
    """
    labelled, any_stated = np.asarray(labels.any(1)), np.asarray(stated.any(1))
    shared = labels.astype(np.float32) @ stated.T.astype(np.float32) > 0
    relevant = np.where(labelled[:, None], shared, ~any_stated)
    frequent = product(labels.mean(0, dtype=np.float32)[None], stated.astype(np.float32))
    everyone = {**rankings, CONSTANT: np.broadcast_to(frequent, relevant.shape)}
    precisions = {who: precision_at(scores, relevant, REPORTS) for who, scores in everyone.items()}
    precisions[RANDOM] = relevant.mean(1)
    first = {who: np.argsort(-scores, axis=1, kind="stable")[:, :REPORTS] for who, scores in everyone.items()}
    groups = {"labelled": labelled, "unlabelled": ~labelled, "all": np.ones_like(labelled)}
    return tuple(
        ReportRetrieval(
            name,
            int(chosen.sum()),
            mean_statistics(
                tuple(precisions), np.column_stack([some[chosen] for some in precisions.values()])
            ).estimate(draw_studies(int(chosen.sum()), resamples)),
            {who: len(np.unique(some[chosen])) for who, some in first.items()},
        )
        for name, chosen in groups.items()
        if chosen.any()
    )


def _words(finding: str) -> str:
    """The name of a finding as a query."""
    return finding.replace("_", " ")


def _embed_images(model: Model, images: LabelledImages) -> tuple[Floats, Floats]:
    """(N, E) embeddings and (N, T) tag probabilities."""
    embeddings, probabilities = [], []
    for i in range(0, len(images), _BATCH):
        for encoding in encode_grey(model, list(images.pixels[i : i + _BATCH])):
            embeddings.append(encoding.embedding)
            probabilities.append([encoding.tags[name] for name in model.manifest.tag_names])
    return np.array(embeddings, np.float32), np.array(probabilities, np.float32)


def _embed_reports(model: Model, folder: Path, limit: int | None) -> tuple[Floats, Floats]:
    """(M, E) embeddings of the val reports with a known word, and (M, 14) the NIH findings that they state."""
    with missing_data_told():
        val = openi.split_reports(openi.read_reports(folder), folder)[1][:limit]
    written = [WrittenReport(str(r.uid), str(folder), r.findings, r.impression) for r in val]
    entries = [entry for entry in embed_reports(model, written, _BATCH) if isinstance(entry, Entry)]
    if not entries:
        raise UsageError(f"{folder}: no val report has a word that the bundle knows.")
    stated = [nih_vector(lexicon.packaged().affirmed_in((e.findings, e.impression))) for e in entries]
    return np.stack([entry.embedding for entry in entries]), np.stack(stated)
