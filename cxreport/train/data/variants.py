"""Plainer forms of a sentence: without a side, a place, a degree or a comparison that the evidence may not have.

Reports nearly always name a side, which tags do not have, so that without such sentences the decoder would make one up.
"""

from __future__ import annotations

import itertools
import re

from cxreport.text import lexicon
from cxreport.types import Detail

Words = tuple[str, ...]
_Rules = tuple[tuple[re.Pattern[str], str], ...]

# What may stand before the thing that it describes, and goes without leaving a gap.
_DESCRIBING = (
    r"(?<![\w-])(?<!to )(?<!and )(?<!or )(?:{}) (?!(?:and|or|than|of|to|is|are|was|were|with|greater|more|in|on|at|for|"
    r"as|side|sided|which|that|from|since|when|there)\b)(?=[a-z])"
)
_PLACE = (
    r" (?:in|at|within|of|over|overlying|involving|along) (?:the |both )?"
    r"(?:(?:left|right|bilateral|mid|middle|upper|lower|lateral|medial|posterior|anterior|peripheral|lung) )*"
    r"(?:lobes?|bases?|lungs?|apex|apices|zones?|lingula|hemithorax)(?![\w-]| and| or)"
)


def _rules(adjectives: str, *patterns: tuple[str, str]) -> _Rules:
    return tuple((re.compile(p), r) for p, r in ((_DESCRIBING.format(adjectives), ""), *patterns))


_GROUPS: tuple[_Rules, ...] = (
    _rules(
        "left|right|bilateral|left-sided|right-sided",
        (r" bilaterally\b| (?:on|to) the (?:left|right)(?: side)?$", ""),
        (r"\bbi(?=(?:basilar|basal|apical|hilar)\b)", ""),
    ),
    _rules(
        "(?:(?:left|right|bilateral) )?(?:basilar|basal|bibasilar|apical|biapical|upper lobe|lower lobe|middle lobe)",
        (_PLACE, ""),
    ),
    _rules(
        "mild|mildly|minimal|minimally|small|slight|slightly|subtle|tiny|faint|minor|moderate|moderately|large|severe|"
        "severely|marked|markedly|extensive|massive"
    ),
    _rules("stable|unchanged|persistent|new|increasing|worsening|again"),
)
_TIDY = ((re.compile(r"\ban?(?= [aeiou])"), "an"), (re.compile(r"\ban(?= [^aeiou])"), "a"))


def plainer(words: Words) -> tuple[tuple[Words, frozenset[Detail]], ...]:
    """All plainer forms of a sentence, with the details that are left in each; none for a sentence without details."""
    text = " ".join(words)
    all_details = lexicon.packaged().details(text)
    forms: dict[Words, frozenset[Detail]] = {}
    if all_details:
        for size in range(1, len(_GROUPS) + 1):
            for groups in itertools.combinations(_GROUPS, size):
                form = _without(text, groups)
                if form not in forms and len(form) > 1:
                    forms[form] = lexicon.packaged().details(" ".join(form))
    return tuple((form, details) for form, details in forms.items() if details < all_details)


def _without(text: str, groups: tuple[_Rules, ...]) -> Words:
    for pattern, replacement in itertools.chain(*groups):
        text = pattern.sub(replacement, text)
    text = re.sub(r" +", " ", text).strip(" ,")
    for pattern, article in _TIDY:
        text = pattern.sub(article, text)
    return tuple(text.split())
