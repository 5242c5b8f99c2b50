#!/usr/bin/env python
"""Mutation campaign: altered files through `cxreport generate`, and what must hold whatever is in them.

No file may end the program, get lost, or have an invalid record, and reading keeps to its time and memory. The same
seed makes the same files. 20,000 of them take minutes:

    python scripts/mutation_campaign.py --count 20000
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema
import numpy as np
from PIL import Image
from pydicom.data import get_testdata_file

from cxreport.output.record import record_schema

ROOT = Path(__file__).resolve().parents[1]
_SAMPLES = (
    *("RG1_UNCR.dcm", "MR_small_expb.dcm", "JPGExtended.dcm", "JPEG-LL.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    *("JPEGLSNearLossless_16.dcm", "image_dfl.dcm", "rtplan.dcm", "reportsi.dcm", "693_J2KR.dcm", "MR_small_RLE.dcm"),
)
_MOST_BYTES = 1 << 20
_EXIT_CODES = {0, 3, 6}
_MEGABYTES = 700
_SECONDS = 30
_LAUNCHER = """
import subprocess, sys
code = subprocess.call(sys.argv[2:])
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)
except ImportError:  # Windows does not tell
    peak = 0.0
with open(sys.argv[1], "w") as file:
    file.write(str(peak))
sys.exit(code if code >= 0 else 128 - code)
"""
"""Runs a command, and writes the peak memory of its largest process in MB: a small process in between, as a process is
counted from the size of the one that started it."""


@dataclass
class Tally:
    """What a campaign found."""

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Reports, and failures by their codes."""
    faults: list[str] = field(default_factory=list)
    peak_megabytes: float = 0.0
    """Of the largest process, main or reader."""


def base_files() -> list[bytes]:
    """Sound files in many encodings, each of at most a megabyte."""
    files = [path.read_bytes() for path in sorted((ROOT / "examples" / "phantoms").iterdir())]
    for name in _SAMPLES:
        path = get_testdata_file(name, download=False)
        if path is not None:
            files.append(Path(str(path)).read_bytes())
    grey = np.add.outer(np.arange(96), np.arange(80)).astype(np.uint8)
    for pixels, kind, settings in (
        (grey, "JPEG", {}),
        (grey, "JPEG", {"progressive": True}),
        (np.stack([grey] * 3, 2), "JPEG", {}),
        (grey, "PNG", {}),
        (np.stack([grey] * 4, 2), "PNG", {}),
        (grey.astype(np.uint16) * 100, "PNG", {}),
        (grey, "TIFF", {"compression": "tiff_lzw"}),
        (grey.astype(np.float32), "TIFF", {"compression": "tiff_adobe_deflate"}),
        (grey, "TIFF", {"compression": "packbits"}),
    ):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind, **settings)
        files.append(stream.getvalue())
    return [content for content in files if len(content) <= _MOST_BYTES]


def mutate(content: bytes, dice: random.Random) -> bytes:
    """Change a file in one to four ways: bits, numbers, lengths, parts moved, doubled, left out."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        if len(data) < 16:
            break
        head = dice.random() < 0.7  # most damage that matters is in headers
        place = dice.randrange(min(len(data), 2048) if head else len(data))
        kind = dice.randrange(8)
        if kind == 0:
            data[place] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[place] = dice.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
        elif kind == 2:
            data[place : place + 4] = dice.choice((b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80"))
        elif kind == 3:
            data[place : place + 2] = dice.randbytes(2)
        elif kind == 4:
            del data[place:]
        elif kind == 5:
            del data[place : place + dice.choice((1, 2, 8, 64, 512))]
        elif kind == 6:
            data[place:place] = data[place : place + dice.choice((1, 8, 64, 4096))]
        else:
            data[place:place] = dice.randbytes(dice.choice((1, 4, 32)))
    return bytes(data)


def campaign(count: int, seed: int, batch: int, model: Path, workers: int | None = None) -> Tally:
    """Run so many mutated files through the command.

    Args:
        count: of files.
        seed: of the mutations.
        batch: files of a run.
        model: bundle that drafts.
        workers: of the command; None leaves them to it.
    """
    tally, files, dice = Tally(), base_files(), random.Random(seed)
    validator = jsonschema.Draft202012Validator(record_schema())
    for start in range(0, count, batch):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number in range(start, min(start + batch, count)):
                path = Path(folder) / f"{number:06d}"
                path.write_bytes(mutate(files[number % len(files)], dice))
                paths.append(path)
            _run(paths, model, workers, validator, tally)
    return tally


def _run(
    paths: list[Path],
    model: Path,
    workers: int | None,
    validator: jsonschema.Draft202012Validator,
    tally: Tally,
) -> None:
    """One run of the command, and its faults."""
    command = [sys.executable, "-m", "cxreport", "generate", "--json", "--force", "--quiet", "--model", str(model)]
    command += [
        "--device",
        "cpu",
        "--timeout",
        str(_SECONDS),
        *(() if workers is None else ("--workers", str(workers))),
    ]
    names, first = "".join(f"{path}\n" for path in paths), paths[0].name
    begin = time.monotonic()
    peak = paths[0].parent.with_suffix(".peak")
    launched = [sys.executable, "-c", _LAUNCHER, str(peak), *command, "-"]
    done = subprocess.run(launched, input=names, capture_output=True, text=True, check=False, cwd=ROOT)
    tally.files += len(paths)
    if done.returncode not in _EXIT_CODES or "Traceback" in done.stderr:
        tally.faults.append(f"{first}: exit code {done.returncode}: {done.stderr[-200:]!r}")
    named = set(_sources(done.stdout, first, validator, tally))
    tally.faults += [f"{path.name}: lost" for path in paths if str(path) not in named]
    tally.peak_megabytes = max(tally.peak_megabytes, float(peak.read_text()))
    peak.unlink()
    if tally.peak_megabytes > _MEGABYTES:
        tally.faults.append(f"{first}: {tally.peak_megabytes:.0f} MB")
    if time.monotonic() - begin > _SECONDS * (1 + len(paths)):
        tally.faults.append(f"{first}: too slow")


def _sources(output: str, first: str, validator: jsonschema.Draft202012Validator, tally: Tally) -> Iterator[str]:
    """Files that the records name; a record that is invalid or says that the program is at fault is a fault."""
    for line in output.splitlines():
        try:
            record = json.loads(line)
            validator.validate(record)
        except (ValueError, jsonschema.ValidationError) as error:
            tally.faults.append(f"{first}: invalid record: {str(error)[:200]}")
            continue
        code = record["error"]["code"] if "error" in record else "report"
        tally.outcomes[code] += 1
        if code in ("timed-out", "reader-ended", "unexpected"):
            tally.outcomes[f"{code}: {record['error']['message']}"] += 1
        if code == "unexpected":
            tally.faults.append(f"{record['study']['sources'][0]}: {record['error']['message']}")
        yield from record["study"]["sources"]


def main() -> int:
    """Run a campaign, print what came of it, and return 1 where something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=16, help="of the mutations (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=500, help="files of a run (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=None, help="of the command (default: its own)")
    parser.add_argument("--model", type=Path, default=ROOT / "tests" / "data" / "tiny_bundle", help="bundle folder")
    arguments = parser.parse_args()
    tally = campaign(arguments.count, arguments.seed, arguments.batch, arguments.model, arguments.workers)
    print(f"{tally.files} files, peak memory {tally.peak_megabytes:.0f} MB, faults: {len(tally.faults)}")
    print("\n".join(f"{number:8} {name}" for name, number in tally.outcomes.most_common()))
    print("\n".join(tally.faults))
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
