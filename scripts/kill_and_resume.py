"""Kill runs of `cxreport generate` at random moments, resume them, and compare with a run that nothing interrupted.

python scripts/kill_and_resume.py [--studies 300] [--moments 50] [--seed 1] [--model BUNDLE]

Some runs are killed several times over. Of each it is said how many studies were kept; the exit code is 1 if a resumed
run differs in anything but its timings, or has lost more than the study in hand.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
FORMATS = ("jsonl", "json", "text", "folder")
BROKEN_EVERY = 37
TABLE_EVERY = 5
"""Every fifth run reads a table of tags in place of pictures."""


def main(arguments: list[str]) -> int:
    """Run the trials; the exit code is 1 when one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, default=ROOT / "tests" / "data" / "tiny_bundle")
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), options.studies, options.model)
        faults = [fault for number in range(options.moments) for fault in trials.run(number, rng)]
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{options.moments} runs killed and resumed, {len(faults)} faults")
    return int(bool(faults))


class Trials:
    """Inputs, and the documents of uninterrupted runs to compare with.

    Args:
        folder: to work in.
        studies: number of studies of a run.
        model: bundle folder.
    """

    def __init__(self, folder: Path, studies: int, model: Path) -> None:
        self._folder = folder
        self._model = model
        self._pictures, self._table = folder / "pictures", folder / "tags.csv"
        self._pictures.mkdir()
        rng = np.random.default_rng(0)
        for number in range(studies):
            path = self._pictures / f"{number:04d}.png"
            if number % BROKEN_EVERY == 1:
                path.write_text("not a picture")
            else:
                Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(path)
        tags = [tag["name"] for tag in json.loads((model / "model.json").read_text())["tags"]]
        rows = (f"r{n // 2},{','.join(f'{p:.3f}' for p in rng.random(len(tags)))}" for n in range(2 * studies))
        self._table.write_text("\n".join([f"study,{','.join(tags)}", *rows]) + "\n")
        self._expected: dict[tuple[str, bool], Any] = {}

    def run(self, number: int, rng: random.Random) -> list[str]:
        """Kill a run once or more, resume it, and tell what is wrong with the outcome."""
        format_, from_table = FORMATS[number % len(FORMATS)], number % TABLE_EVERY == TABLE_EVERY - 1
        if (format_, from_table) not in self._expected:
            whole = self._folder / f"whole-{number}"
            self._start(format_, whole, from_table).wait()
            self._expected[format_, from_table] = content(whole)
        out = self._folder / f"out-{number}"
        name = f"run {number} ({format_}{', table' if from_table else ''})"
        faults, journaled, kept = [], 0, []
        for attempt in range(rng.choice((1, 1, 2, 3))):
            process = self._start(format_, out, from_table, *(["--resume"] if attempt else []))
            least = max(journaled, lines(out) - 1)
            self._kill(process, out, format_, from_table, rng)
            journaled = lines(out) - 1
            kept.append(max(journaled, 0))
            written = results_in(out.with_name(f"{out.name}.partial")) if format_ == "jsonl" else journaled
            if written > max(journaled, 0) + 1:
                faults.append(f"{name}: {written} results written, {journaled} of them to be kept")
            if journaled < least and not is_complete(out):
                faults.append(f"{name}: {least} results, after another kill {journaled}")
        process = self._start(format_, out, from_table, "--resume")
        said = process.communicate()[1]
        if process.returncode not in (0, 6):
            faults.append(f"{name}: exit code {process.returncode}: {said.splitlines()[-2:]}")
        elif content(out) != self._expected[format_, from_table]:
            faults.append(f"{name}: differs from an uninterrupted run")
        left = [path.name for path in out.parent.glob(f"{out.name}.*")] + [path.name for path in out.glob(".journal")]
        if left:
            faults.append(f"{name}: left {left}")
        print(f"{name}: killed after {kept} results{': FAULT' if faults else ''}", flush=True)
        return faults

    def _start(self, format_: str, out: Path, from_table: bool, *flags: str) -> subprocess.Popen[str]:
        inputs = ["--from-tags", self._table] if from_table else [self._pictures, "--force", "--workers", 0]
        place = f"{out}/" if format_ == "folder" else out
        chosen = "jsonl" if format_ == "folder" else format_
        command = ["generate", "--model", self._model, "--format", chosen, "--out", place, *inputs, *flags]
        return subprocess.Popen(
            [sys.executable, "-m", "cxreport", *map(str, command)],
            cwd=ROOT,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _kill(
        self, process: subprocess.Popen[str], out: Path, format_: str, from_table: bool, rng: random.Random
    ) -> None:
        """Kill a run once a random share of its results is written, and a random moment later."""
        results = rng.random() * self._results(format_, from_table)
        delay = rng.random() * 0.02
        while process.poll() is None and lines(out) - 1 < results:
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.communicate()

    def _results(self, format_: str, from_table: bool) -> int:
        pieces = self._expected[format_, from_table]
        return pieces.count("╭") if isinstance(pieces, str) else len(pieces)


def journal_of(out: Path) -> Path:
    """Where the journal of an output is."""
    return out / ".journal" if out.is_dir() else out.with_name(f"{out.name}.journal")


def lines(out: Path) -> int:
    """Number of whole lines of a journal."""
    try:
        return journal_of(out).read_bytes().count(b"\n")
    except OSError:
        return 0


def results_in(partial: Path) -> int:
    """Number of whole records in a partial file of JSON Lines."""
    return partial.read_bytes().count(b"\n") if partial.exists() else 0


def is_complete(out: Path) -> bool:
    """True where the run came to its end before it was killed."""
    return not journal_of(out).exists() or (out.is_file() and not out.with_name(f"{out.name}.partial").exists())


def content(out: Path) -> Any:
    """Results of a run without their timings: records, by name those of a folder, or the text."""
    if out.is_dir():
        return {path.name: content(path) for path in out.iterdir() if not path.name.startswith(".")}
    text = out.read_text()
    try:
        records = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    except ValueError:
        return text
    return [
        {key: value for key, value in record.items() if key not in ("timing_ms", "drafted_at")} for record in records
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
