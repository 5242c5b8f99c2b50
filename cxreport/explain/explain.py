"""Explain: where in the image the sentences and words of a drafted report, and tags that were asked for, look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cxreport.drafting import decode
from cxreport.drafting.grid import square
from cxreport.drafting.ground import text_map
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.errors import BundleError, UsageError
from cxreport.model.encode import encode
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.types import Encoding, Failure, Floats, Pixels, Plan, Report, SentenceMap, Study

__all__ = ["AskedTag", "Explanation", "TagMap", "asked_tags", "explain", "tag_map"]


@dataclass(frozen=True)
class AskedTag:
    """A tag to look for."""

    name: str
    tag: int
    """Index of the reporting tag."""
    text: str
    """What the patches are compared with."""


@dataclass(frozen=True)
class TagMap:
    """Where a sentence about a reporting tag looks, or would look."""

    tag: str
    reported_as: str
    """The reporting tag, which has the probability and is planned or not."""
    probability: float
    planned: bool
    weights: Floats
    """(rows, columns) of the patch grid, with a sum of 1."""

    @property
    def text(self) -> str:
        """The tag and what came of it."""
        of = "" if self.tag == self.reported_as else f", as {self.reported_as}"
        return f"{self.tag} ({'planned' if self.planned else 'not planned'}{of}, probability {self.probability:.2f})"


@dataclass(frozen=True)
class Explanation:
    """The report of one study, and what it was read from."""

    report: Report
    picture: Pixels
    """(S, S), or (S, S, 3) in colour: the network's view of the pixels."""
    sentences: tuple[SentenceMap, ...]
    """Findings first."""
    tags: tuple[TagMap, ...] = ()
    """In the order asked for."""

    def names(self) -> list[str]:
        """A file name without suffix for the overlay of each sentence and, behind these, of each tag."""
        kinds = [str(s.section) for s in self.sentences] + [f"tag-{_slug(t.tag)}" for t in self.tags]
        return [f"{number:02}-{kind}" for number, kind in enumerate(kinds, start=1)]


def explain(
    model: Model, study: Study, options: GenerateOptions | None = None, tags: Sequence[AskedTag] = ()
) -> Explanation | Failure:
    """Draft the report of a study and tie it to the image.

    Args:
        model: a loaded bundle.
        study: with an image.
        options: how to draft; attention is always on.
        tags: to look for, whether planned or not.

    Returns:
        The explanation, or why the study failed.

    Raises:
        BundleError: the bundle has no attention.
        UsageError: the study has no image.
    """
    options = replace(options or GenerateOptions(), attention=True, tags_only=False)
    (outcome,) = generate(model, [study], options)
    if isinstance(outcome, Failure):
        return outcome
    if outcome.study.view is None:
        raise UsageError("Tag probabilities have no image to look at.")
    if outcome.maps is None and (outcome.findings or outcome.impression):
        raise BundleError("The bundle does not say where its sentences look.", hint="Take another one with --model.")
    picture = outcome.study.view.pixels
    return Explanation(outcome, picture, outcome.maps or (), _tag_maps(model, picture, options, tags))


def asked_tags(manifest: Manifest, names: Sequence[str]) -> tuple[AskedTag, ...]:
    """Find reporting tags, or findings of the tag head that speak for one, by their names, whatever the case.

    Raises:
        UsageError: the bundle has no such tag.
    """
    reporting = manifest.reporting_names
    known = {finding: reporting.index(tag) for finding, tag in manifest.aliases.items()}
    known |= {name: i for i, name in enumerate(reporting)}
    spelled = {name.lower(): name for name in known}
    for name in names:
        if name.lower() not in spelled:
            hint = (
                f"It has: {', '.join(reporting)}." if reporting else "Only bundles that plan their reports have some."
            )
            raise UsageError(f"The bundle has no reporting tag {name!r}.", hint=hint)
    chosen = dict.fromkeys(spelled[name.lower()] for name in names)
    return tuple(
        AskedTag(
            name, known[name], manifest.lexicon.plain_sentence(name) if name in reporting else name.replace("_", " ")
        )
        for name in chosen
    )


def tag_map(model: Model, encoding: Encoding, plan: Plan, asked: AskedTag) -> Floats:
    """(rows, columns) where the sentence looks that would tell a tag, whether the plan has it or not."""
    likeness = text_map(model, encoding, asked.text)
    weights = decode.attend(model, encoding, plan, asked.tag) if likeness is None else likeness
    return square(weights)


def _tag_maps(model: Model, picture: Pixels, options: GenerateOptions, tags: Sequence[AskedTag]) -> tuple[TagMap, ...]:
    """Ask the decoder where it looks for tags; the image is encoded anew, as reports do not keep its patches."""
    if not tags:
        return ()
    (encoding,) = encode(model, [picture])
    plan = make_plan(model.manifest, encoding, HEAD, options.threshold)
    return tuple(
        TagMap(
            asked.name,
            model.manifest.reporting_names[asked.tag],
            float(plan.probabilities[asked.tag]),
            asked.tag in plan.tags,
            tag_map(model, encoding, plan, asked),
        )
        for asked in tags
    )


def _slug(text: str) -> str:
    """A text as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
