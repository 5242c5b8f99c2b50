"""Growth with the sentences of a report: the time to write them."""

from __future__ import annotations

from statistics import fmean

from cxreport.bench.growth.points import Growth, GrowthPoint
from cxreport.bench.spread import Spread
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.model.session import Model
from cxreport.types import Report, Study

_BATCH = 8
_STAGES = {"plan": "plan, ms", "sentences": "sentences, ms", "words": "words, ms", "report": "report, ms"}
_PRESENT, _ABSENT = 0.99, 0.01


def measure_reports(model: Model, repeats: int) -> Growth | None:
    """Measure the reports of studies with more and more findings; None for a bundle that writes captions."""
    names = model.manifest.tag_names
    if model.manifest.captioning:
        return None
    points: dict[int, GrowthPoint] = {}
    for present in sorted({0, *(1 << power for power in range(len(names).bit_length())), len(names)}):
        tags = {name: _PRESENT if place < present else _ABSENT for place, name in enumerate(names)}
        studies = [Study(str(number), (), None, tags=tags) for number in range(_BATCH)]
        runs = [_timed(model, studies) for _ in range(repeats + 1)][1:]
        sentences = len(runs[0][0].sentences)
        figures = {
            name: Spread(tuple(fmean(report.timing_ms[stage] for report in reports) for reports in runs)).median
            for stage, name in _STAGES.items()
        }
        points.setdefault(sentences, GrowthPoint(sentences, figures))
    return Growth("sentences of a report", tuple(points[size] for size in sorted(points) if size))


def _timed(model: Model, studies: list[Study]) -> list[Report]:
    outcomes = generate(model, studies, GenerateOptions(batch_size=_BATCH))
    return [outcome for outcome in outcomes if isinstance(outcome, Report)]
