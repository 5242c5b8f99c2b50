"""Explain: maps over the image of the sentences and words of a drafted report, and of tags that the user asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from cxreport.drafting import topics
from cxreport.drafting.grid import square
from cxreport.drafting.ground import text_map
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.errors import BundleError, UsageError
from cxreport.model.encode import encode
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.sentences import Sentence, SentenceMap
from cxreport.types import Encoding, Failure, Floats, Grey, Pixels, Plan, Report, Study

__all__ = ["Explanation", "TagMap", "TagQuery", "explain", "tag_map", "tag_queries"]


@dataclass(frozen=True)
class TagQuery:
    """Query for the map of a reporting tag, or of a finding of the tag head that speaks for one."""

    name: str
    tag: int
    """Index of the reporting tag."""
    text: str
    """Text that the patches are compared with."""


@dataclass(frozen=True)
class TagMap:
    """Map of a tag over the patches of the image."""

    tag: str
    """Name of the `TagQuery`."""
    reported_as: str
    """Reporting tag, which the probability and the plan are about."""
    probability: float
    planned: bool
    weights: Floats
    """(rows, columns) of the patch grid, with a sum of 1."""

    @property
    def text(self) -> str:
        """The tag, whether it was planned, and its probability."""
        alias = "" if self.tag == self.reported_as else f", as {self.reported_as}"
        return f"{self.tag} ({'planned' if self.planned else 'not planned'}{alias}, probability {self.probability:.2f})"


@dataclass(frozen=True)
class Explanation:
    """Report of one study, tied to its image."""

    report: Report
    picture: Grey
    """(S, S): the network's input, without the colours that it may have had."""
    tags: tuple[TagMap, ...] = ()
    """In the order of the queries."""

    @property
    def sentences(self) -> tuple[tuple[Sentence, SentenceMap], ...]:
        """Sentences of the report with their maps, Findings first."""
        return tuple((sentence, sentence.map) for sentence in self.report.sentences if sentence.map is not None)

    def names(self) -> list[str]:
        """A file name without suffix for the overlay of each sentence and, behind these, of each tag."""
        kinds = [str(sentence.section) for sentence, _ in self.sentences] + [f"tag-{_slug(t.tag)}" for t in self.tags]
        return [f"{number:02}-{kind}" for number, kind in enumerate(kinds, start=1)]


def explain(
    model: Model, study: Study, options: GenerateOptions | None = None, tags: Sequence[TagQuery] = ()
) -> Explanation | Failure:
    """Draft the report of a study and map it to the image.

    Args:
        model: a loaded bundle.
        study: with an image.
        options: of drafting; attention is always on.
        tags: to map as well, whether planned or not.

    Returns:
        The explanation, or the failure of the study.

    Raises:
        BundleError: the bundle has no attention.
        UsageError: the study has no image.
    """
    options = replace(options or GenerateOptions(), attention=True, tags_only=False)
    (outcome,) = generate(model, [study], options)
    if isinstance(outcome, Failure):
        return outcome
    if outcome.study.view is None:
        raise UsageError("A study of tag probabilities has no image to explain.")
    if any(sentence.map is None for sentence in outcome.sentences):
        raise BundleError("The bundle does not map its sentences to the image.", hint="Choose another with --model.")
    picture = outcome.study.view.pixels
    return Explanation(report=outcome, picture=_as_grey(picture), tags=_tag_maps(model, picture, options, tags))


def _as_grey(picture: Pixels) -> Grey:
    """A picture without its colours, which are those of the map over it."""
    return picture if picture.ndim == 2 else np.asarray(Image.fromarray(picture).convert("L"))


def tag_queries(manifest: Manifest, names: Sequence[str]) -> tuple[TagQuery, ...]:
    """Find reporting tags, or findings of the tag head that speak for one, by their names, whatever the case.

    Raises:
        UsageError: the bundle has no such tag.
    """
    reporting = manifest.reporting_names
    tags = {finding.lower(): _finding_query(finding, reporting.index(tag)) for finding, tag in manifest.aliases.items()}
    tags |= {name.lower(): TagQuery(name, i, manifest.lexicon.plain_sentence(name)) for i, name in enumerate(reporting)}
    for name in names:
        if name.lower() not in tags:
            hint = (
                f"It has: {', '.join(reporting)}." if reporting else "Only bundles that plan their reports have tags."
            )
            raise UsageError(f"The bundle has no reporting tag {name!r}.", hint=hint)
    return tuple(dict.fromkeys(tags[name.lower()] for name in names))


def _finding_query(name: str, tag: int) -> TagQuery:
    return TagQuery(name, tag, text=name.replace("_", " "))


def tag_map(model: Model, encoding: Encoding, plan: Plan, query: TagQuery) -> Floats:
    """(rows, columns) map of a tag, whether the plan has it or not: of its text, or else of a sentence's attention."""
    weights = text_map(model, encoding, query.text)
    return square(topics.attend(model, encoding, plan, query.tag) if weights is None else weights)


def _tag_maps(
    model: Model, picture: Pixels, options: GenerateOptions, queries: Sequence[TagQuery]
) -> tuple[TagMap, ...]:
    """Maps of tags; the image is encoded anew, as reports do not keep its patches."""
    if not queries:
        return ()
    (encoding,) = encode(model, [picture])
    plan = make_plan(model.manifest, encoding, HEAD, options.threshold)
    return tuple(
        TagMap(
            tag=query.name,
            reported_as=model.manifest.reporting_names[query.tag],
            probability=float(plan.probabilities[query.tag]),
            planned=query.tag in plan.tags,
            weights=tag_map(model, encoding, plan, query),
        )
        for query in queries
    )


def _slug(text: str) -> str:
    """A text as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
