"""Draft reports from Python: ``python examples/python_api.py FILE_OR_FOLDER [BUNDLE]``."""

import sys
from pathlib import Path

import cxreport

model = cxreport.load_model(cxreport.find_bundle(sys.argv[2] if len(sys.argv) > 2 else None))
studies = cxreport.read_studies([Path(sys.argv[1])], cxreport.ReadOptions())
for outcome in cxreport.generate(model, studies):
    if isinstance(outcome, cxreport.Failure):
        print(f"{outcome.id}: failed: {outcome.error.message}")
    else:
        print(f"{outcome.study.id}: {' '.join(outcome.impression)}")
