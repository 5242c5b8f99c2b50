"""Conventions of the papers for the text that they score: its sections, their order, and its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from cxreport.types import Report, Section

UNKNOWN = "<unk>"
_LIST_NUMBER = re.compile(r"\.? [2-5]\. ")
_MARKS = re.compile(r"[\"/\\'.,?;*!%^&_+():<=>@\[\]{}]")
_LETTERS = re.compile(r"(?<!\w)[a-z]+(?!\w)")


@dataclass(frozen=True)
class SectionTexts:
    """Text of a report by section."""

    findings: str
    impression: str

    @classmethod
    def of(cls, report: Report) -> SectionTexts:
        """Text of a drafted report."""
        return cls(" ".join(report.findings), " ".join(report.impression))


@dataclass(frozen=True)
class Convention:
    """Convention of a paper: the words of a report that it scores."""

    name: str
    title: str
    sections: tuple[Section, ...]
    """In the order in which they are joined."""
    words: Callable[[str], list[str]]
    min_count: int = 1
    """Words that are rarer in the train split become `UNKNOWN`."""
    max_words: int | None = None
    """Length at which a text is cut."""

    def text(self, report: SectionTexts) -> str:
        """Join the sections; empty where the report has none of them."""
        return " ".join(filter(None, (getattr(report, section) for section in self.sections)))

    @property
    def signature(self) -> str:
        """Line that is equal for figures that can be compared."""
        cut = f"{self.max_words} words" if self.max_words else "no cut-off"
        unknown = f"<unk> under {self.min_count}" if self.min_count > 1 else "no <unk>"
        return f"{'+'.join(self.sections)}, {self.words.__name__}, lower case, {unknown}, {cut}"


def r2gen_words(text: str) -> list[str]:
    """Words of a text cleaned as R2Gen (Chen et al. 2020) does: ``.`` ends a sentence, other marks are removed.

    Hyphens stay, list numbers up to five go, and de-identified words stay as ``xxxx``, as in its published code.
    """
    text = re.sub(r"\.{2,}", ".", text).replace("1. ", "")
    sentences = _LIST_NUMBER.sub(". ", text).strip().lower().split(". ")
    return (" . ".join(_MARKS.sub("", sentence) for sentence in sentences) + " .").split()


def alphabetic_words(text: str) -> list[str]:
    """Lower-case words of letters alone, as Jing et al. 2018 keep them; a hyphen separates two words."""
    return _LETTERS.findall(text.lower())


R2GEN_FINDINGS = Convention(
    name="findings",
    title="Findings, as R2Gen",
    sections=(Section.FINDINGS,),
    words=r2gen_words,
    min_count=3,
    max_words=60,
)
"""Chen et al. 2020: Findings alone, words seen less than 3 times in train unknown, 60 words. Their code counts its
start mark among the 60, so it keeps one word less. The generated text passes through the same vocabulary."""

R2GEN_IMPRESSION = replace(
    R2GEN_FINDINGS, name="impression", title="Impression, as R2Gen", sections=(Section.IMPRESSION,)
)
"""The other section in the same way; R2Gen itself does not write it."""

JING_REPORT = Convention(
    name="report",
    title="Impression + Findings, as Jing",
    sections=(Section.IMPRESSION, Section.FINDINGS),
    words=alphabetic_words,
)
"""Jing et al. 2018. From the paper: both sections as one paragraph with the Impression first, lower case, no
non-alphabetic tokens. Assumed, as the paper does not say: references keep words outside its dictionary of 1,000, and
nothing is cut off. Their split is random and was not published: figures compare in kind, not to the digit."""

CONVENTIONS = (R2GEN_FINDINGS, R2GEN_IMPRESSION, JING_REPORT)


class Preparer:
    """Function from texts to what the metrics compare, with the vocabulary of the train split."""

    def __init__(self, convention: Convention, train: Iterable[str]) -> None:
        self._convention = convention
        counts = Counter(word for text in train for word in convention.words(text))
        self._vocabulary = {word for word, count in counts.items() if count >= convention.min_count}

    def __call__(self, text: str) -> str:
        """Words separated by spaces; a text without any is `UNKNOWN`, as METEOR takes no empty line."""
        words = self._convention.words(text)[: self._convention.max_words]
        if self._convention.min_count > 1:
            words = [word if word in self._vocabulary else UNKNOWN for word in words]
        return " ".join(words) or UNKNOWN
