"""Draft reports from Python: ``python examples/python_api.py FILE_OR_FOLDER [BUNDLE]``."""

import sys
import tempfile
from pathlib import Path

import numpy as np

import cxreport

if len(sys.argv) < 2:
    sys.exit(__doc__)
path, bundle = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None

# A model. Without an argument load_model() takes the shipped bundle. Every error has a code, a message and a next step.
try:
    model = cxreport.load_model(bundle)
except cxreport.CxreportError as error:
    sys.exit(f"{error.code}: {error.message}\n{error.hint}")
manifest = model.manifest
print(f"{manifest.name} {manifest.version}: {len(manifest.tag_names)} tags")

# Many studies: a report or a failure for each, in their order, while they are read.
for outcome in cxreport.generate(model, cxreport.read_studies([path])):
    if isinstance(outcome, cxreport.Failure):
        print(f"{outcome.id}: failed: {outcome.error.message}")
    else:
        print(f"{outcome.study.id}: {' '.join(outcome.impression)}")

# The same as a document on a stream, here JSON Lines: any format of `cxreport generate --format`.
studies = cxreport.read_studies([path], cxreport.ReadOptions(max_megapixels=50))
outcomes = cxreport.generate(model, studies, cxreport.GenerateOptions(beam=3, attention=True))
cxreport.get_formatter("jsonl", manifest).write(outcomes, sys.stdout)

# One study, and its record as a dictionary that follows cxreport.record_schema().
if path.is_file():
    (outcome,) = cxreport.generate(model, [cxreport.read_study(path)])
    record = cxreport.to_record(outcome, manifest)
    print(f"{path}: {record.get('report') or record['error']}")

# An array, or a picture of Pillow, in place of a file.
(outcome,) = cxreport.generate(model, [cxreport.read_image(np.full((64, 64), 99, np.uint8), "array")])
print(f"array: {outcome.error.code if isinstance(outcome, cxreport.Failure) else outcome.impression}")

# Without an image: a table of tag probabilities, a column for each tag and a row for each study.
with tempfile.TemporaryDirectory() as folder:
    table = Path(folder) / "tags.csv"
    table.write_text(f"study,{','.join(manifest.tag_names)}\nA{',0.9' * len(manifest.tag_names)}\n")
    for outcome in cxreport.generate(model, cxreport.read_tag_table(table, set(manifest.tag_names))):
        print(f"from tags: {' '.join(outcome.impression)}")
