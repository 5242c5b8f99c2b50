"""Report text as the papers score it: which sections, in which order, cut into which words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cxreport.types import Report, Section

UNKNOWN = "<unk>"
_LIST_NUMBER = re.compile(r"\.? [2-5]\. ")
_MARKS = re.compile(r"[\"/\\'.,?;*!%^&_+():<=>@\[\]{}]")
_LETTERS = re.compile(r"(?<!\w)[a-z]+(?!\w)")


@dataclass(frozen=True)
class SectionTexts:
    """The text of a report, by section."""

    findings: str
    impression: str

    @classmethod
    def of(cls, report: Report) -> SectionTexts:
        """The text of a drafted report."""
        return cls(" ".join(report.findings), " ".join(report.impression))


@dataclass(frozen=True)
class Convention:
    """How a paper makes words of a report before it scores them."""

    name: str
    title: str
    sections: tuple[Section, ...]
    """In the order in which they are joined."""
    words: Callable[[str], list[str]]
    least: int = 1
    """Words seen less often in the train split become `UNKNOWN`."""
    longest: int | None = None
    """Words after these are cut off."""

    def text(self, report: SectionTexts) -> str:
        """Join the sections; empty where the report has none of them."""
        return " ".join(filter(None, (getattr(report, section) for section in self.sections)))

    @property
    def signature(self) -> str:
        """What has to be the same for two figures to compare."""
        cut = f"{self.longest} words" if self.longest else "no cut-off"
        unknown = f"<unk> under {self.least}" if self.least > 1 else "no <unk>"
        return f"{'+'.join(self.sections)}, {self.words.__name__}, lower case, {unknown}, {cut}"


def r2gen_words(text: str) -> list[str]:
    """Words as R2Gen (Chen et al. 2020) cleans its Open-I reports: ``.`` ends a sentence, other marks are removed.

    Hyphens stay, list numbers up to five go, and de-identified words stay as ``xxxx``, as in its published code.
    """
    text = re.sub(r"\.{2,}", ".", text).replace("1. ", "")
    sentences = _LIST_NUMBER.sub(". ", text).strip().lower().split(". ")
    return (" . ".join(_MARKS.sub("", sentence) for sentence in sentences) + " .").split()


def alphabetic_words(text: str) -> list[str]:
    """Lower-case words of letters alone, as Jing et al. 2018 keep them; a hyphen is taken to part two words."""
    return _LETTERS.findall(text.lower())


R2GEN_FINDINGS = Convention("findings", "Findings, as R2Gen", (Section.FINDINGS,), r2gen_words, 3, 60)
"""Chen et al. 2020: Findings alone, words seen less than 3 times in train unknown, 60 words. Their code counts its
start mark among the 60, so it keeps one word less. The generated text passes through the same vocabulary."""

R2GEN_IMPRESSION = Convention("impression", "Impression, as R2Gen", (Section.IMPRESSION,), r2gen_words, 3, 60)
"""The other section in the same way; R2Gen itself does not write it."""

JING_REPORT = Convention(
    "report", "Impression + Findings, as Jing", (Section.IMPRESSION, Section.FINDINGS), alphabetic_words
)
"""Jing et al. 2018. From the paper: both sections as one paragraph with the Impression first, lower case, no
non-alphabetic tokens. Assumed, as the paper does not say: references keep words outside its dictionary of 1,000, and
nothing is cut off. Their split is random and was not published: figures compare in kind, not to the digit."""

CONVENTIONS = (R2GEN_FINDINGS, R2GEN_IMPRESSION, JING_REPORT)


class Preparer:
    """Makes texts ready for the metrics, with the vocabulary of the train split."""

    def __init__(self, convention: Convention, train: Iterable[str]) -> None:
        self._convention = convention
        counts = Counter(word for text in train for word in convention.words(text))
        self._known = {word for word, count in counts.items() if count >= convention.least}

    def __call__(self, text: str) -> str:
        """Words with a space between; a text without any is `UNKNOWN`, as METEOR takes no empty line."""
        words = self._convention.words(text)[: self._convention.longest]
        if self._convention.least > 1:
            words = [word if word in self._known else UNKNOWN for word in words]
        return " ".join(words) or UNKNOWN
