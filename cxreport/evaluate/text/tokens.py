"""Words of captions, as the COCO evaluation cuts them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cxreport.text.scoring_conventions import UNKNOWN, alphabetic_words

_PROGRAM = ("edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", "-encoding", "utf-8")


class CaptionTokenizer:
    """Penn Treebank words in lower case without marks where there is a Java, else the words of letters alone."""

    def __init__(self) -> None:
        self._ptb = shutil.which("java") is not None

    @property
    def signature(self) -> str:
        """Name of the tokenizer, for figures to compare."""
        return "PTBTokenizer, lower case, no marks" if self._ptb else f"{alphabetic_words.__name__} (no Java)"

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Cut texts into words with a space between; one without any is `UNKNOWN`, as METEOR takes no empty line.

        Args:
            texts: N texts; all of them at once, as the Java program takes longer to start than to cut.
        """
        lines = [" ".join(text.split()) for text in texts]
        words = _ptb_words(lines) if self._ptb and lines else [alphabetic_words(line) for line in lines]
        return [" ".join(text) or UNKNOWN for text in words]


def _ptb_words(lines: Sequence[str]) -> list[list[str]]:
    """Words as pycocoevalcap's PTBTokenizer cuts them, which writes into its own folder and to stderr."""
    from pycocoevalcap.tokenizer import ptbtokenizer  # of an extra that images do without

    done = subprocess.run(
        ("java", "-cp", ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR, *_PROGRAM),
        cwd=Path(ptbtokenizer.__file__).parent,
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    cut = done.stdout.split("\n")[: len(lines)]
    return [[word for word in line.split() if word not in ptbtokenizer.PUNCTUATIONS] for line in cut]
