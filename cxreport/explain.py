"""Explain: where in the image the sentences and words of a drafted report, and tags that were asked for, look."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cxreport import decode
from cxreport.bundle import Manifest
from cxreport.encode import encode
from cxreport.errors import BundleError, UsageError
from cxreport.pipeline import GenerateOptions, generate
from cxreport.plan import HEAD, make_plan
from cxreport.session import Model
from cxreport.types import Failure, Floats, Grey, Report, SentenceMap, Study

__all__ = ["Explanation", "TagMap", "explain", "tag_indices"]


@dataclass(frozen=True)
class TagMap:
    """Where a sentence about a reporting tag looks, or would look."""

    tag: str
    probability: float
    planned: bool
    weights: Floats
    """(rows, columns) of the patch grid, with a sum of 1."""

    @property
    def text(self) -> str:
        """The tag and what came of it."""
        return f"{self.tag} ({'planned' if self.planned else 'not planned'}, probability {self.probability:.2f})"


@dataclass(frozen=True)
class Explanation:
    """The report of one study, and what it was read from."""

    report: Report
    picture: Grey
    """(S, S) the network's view of the pixels."""
    sentences: tuple[SentenceMap, ...]
    """Findings first."""
    tags: tuple[TagMap, ...] = ()
    """In the order asked for."""

    def names(self) -> list[str]:
        """A file name without suffix for the overlay of each sentence and, behind these, of each tag."""
        kinds = [str(s.section) for s in self.sentences] + [f"tag-{_slug(t.tag)}" for t in self.tags]
        return [f"{number:02}-{kind}" for number, kind in enumerate(kinds, start=1)]


def explain(
    model: Model, study: Study, options: GenerateOptions | None = None, tags: Sequence[int] = ()
) -> Explanation | Failure:
    """Draft the report of a study and tie it to the image.

    Args:
        model: a loaded bundle.
        study: with an image.
        options: how to draft; attention is always on.
        tags: indices of reporting tags to look for, whether planned or not.

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


def tag_indices(manifest: Manifest, names: Sequence[str]) -> tuple[int, ...]:
    """Find reporting tags by their names, whatever the case, each once.

    Raises:
        UsageError: the bundle has no such tag.
    """
    known = {name.lower(): i for i, name in enumerate(manifest.reporting_names)}
    for name in names:
        if name.lower() not in known:
            raise UsageError(
                f"The bundle has no reporting tag {name!r}.", hint=f"It has: {', '.join(manifest.reporting_names)}."
            )
    return tuple(dict.fromkeys(known[name.lower()] for name in names))


def _tag_maps(model: Model, picture: Grey, options: GenerateOptions, tags: Sequence[int]) -> tuple[TagMap, ...]:
    """Ask the decoder where it looks for tags; the image is encoded anew, as reports do not keep its patches."""
    if not tags:
        return ()
    (encoding,) = encode(model, [picture])
    plan = make_plan(model.manifest, encoding, HEAD, options.threshold)
    names, maps = model.manifest.reporting_names, []
    for tag in tags:
        weights = decode.attend(model, encoding, plan, tag)
        side = math.isqrt(weights.size)
        maps.append(TagMap(names[tag], float(plan.probabilities[tag]), tag in plan.tags, weights.reshape(side, side)))
    return tuple(maps)


def _slug(text: str) -> str:
    """A text as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
