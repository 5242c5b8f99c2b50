"""Tables of an evaluation: texts, tags, guards and abstention, and those of the other modules here."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cxreport.evaluate.abstention import METRICS, AbstentionRates
from cxreport.evaluate.bootstrap import Figure, Systems
from cxreport.evaluate.coco import CocoFigures
from cxreport.evaluate.grounding.words import PointingFigures
from cxreport.evaluate.nih import ImageFigures, NihFigures, Sample
from cxreport.evaluate.openi import MODEL, OpeniFigures, TextFigures
from cxreport.evaluate.plan_agreement import GuardCounts
from cxreport.evaluate.run import Evaluation
from cxreport.evaluate.tables.certainty import render_certainty
from cxreport.evaluate.tables.format import NONE, interval, new_table, number
from cxreport.evaluate.tables.grounding import render_grounding
from cxreport.evaluate.tables.retrieval import render_retrieval
from cxreport.evaluate.tables.tags import render_findings, render_judges
from cxreport.evaluate.text import clinical, metrics, variety
from cxreport.evaluate.text.language import FAULTS, LanguageCounts

_COUNTS = ("vocabulary", "mean words")
_POINTERS = {
    "model": "the word's map",
    "other image": "the map of another image's word",
    "other shape": "(the word's map, but of another shape)",
    "centre": "the middle of the image",
    "chance": "any pixel",
}


def render(evaluation: Evaluation) -> Group:
    """Lay out everything that was measured, the signature last."""
    tables: list[RenderableType] = []
    if evaluation.openi:
        tables += _openi(evaluation.openi)
    if evaluation.nih:
        tables += _nih(evaluation.nih)
    if evaluation.grounding:
        tables += render_grounding(evaluation.grounding)
    if evaluation.retrieval:
        tables += render_retrieval(evaluation.retrieval)
    if evaluation.coco:
        tables += _coco(evaluation.coco)
    return Group(*tables, Text(evaluation.signature, style="dim", no_wrap=True, overflow="ignore"))


def _openi(figures: OpeniFigures) -> Iterator[RenderableType]:
    for text in figures.texts:
        yield _systems(f"{text.title}: {text.studies} studies, {text.abnormal} abnormal", text.systems)
    yield _classes(figures.texts[0])
    yield _guards({"Open-I": figures.guards})
    yield language_table({f"Open-I {name}": counts for name, counts in figures.language.items()})
    yield from _abstention(figures.abstention)


def _nih(figures: NihFigures) -> Iterator[RenderableType]:
    for images in figures.sets:
        yield render_findings(f"Tag head, {images.name}: {images.images} images", images.findings, images.means)
    yield from render_judges(figures.judges)
    if figures.certainty:
        yield from render_certainty(figures.certainty)
    yield _reports(figures.sets)
    yield _guards({images.name: images.guards for images in figures.sets})
    yield language_table({images.name: images.language for images in figures.sets})
    yield from _abstention(figures.abstention)
    yield from map(_sample, figures.samples)


def _coco(figures: CocoFigures) -> Iterator[RenderableType]:
    title = f"Captions, {figures.name}: {figures.images} images, {figures.references} references"
    yield _systems(title, figures.systems)
    if figures.pointing:
        yield _pointing(figures.pointing)
    for sample in figures.samples:
        yield Text(f"\n{sample.image}\nCaption: {sample.caption}\nReference: {sample.reference}")


def _systems(title: str, systems: Systems) -> Table:
    """Metrics down, systems across; the interval is the model's."""
    baselines = [name for name in systems if name != MODEL]
    table = new_table(f"\n{title}", "", MODEL, "95 %", *baselines)
    for metric in (*metrics.METRICS, *clinical.METRICS, *variety.METRICS):
        figure = systems[MODEL].get(metric)
        if figure is not None:
            values = (_value(systems[name].get(metric), metric) for name in baselines)
            table.add_row(metric, _value(figure, metric), interval(figure), *values)
    return table


def _pointing(figures: PointingFigures) -> Table:
    title = f"Pointing game: {figures.words} words, {figures.images} images"
    table = new_table(f"\n{title}", "box hit by", "share", "95 %")
    for name, figure in figures.hits.items():
        table.add_row(_POINTERS[name], number(figure.value), interval(figure))
    return table


def _classes(text: TextFigures) -> Table:
    columns = ("class", "references", "precision", "recall", "F1")
    table = new_table(f"\nWhat the reports state, {text.title}", *columns)
    for name, figures in text.classes.items():
        table.add_row(name, str(figures.positives), *map(number, (figures.precision, figures.recall, figures.f1)))
    return table


def _reports(sets: tuple[ImageFigures, ...]) -> Table:
    """Agreement of the reports of images with the labels, and their variety."""
    table = new_table("\nReports of images against the NIH labels", "", *(images.name for images in sets))
    for agreements in zip(*(images.agreement for images in sets), strict=True):
        reader = f"{agreements[0].reader}, {len(agreements[0].classes)} classes"
        for answer in agreements[0].micro_f1:
            figures = [agreement.micro_f1[answer] for agreement in agreements]
            table.add_row(f"F1 micro, {reader}: {answer}", *(f"{number(f.value)} {interval(f)}" for f in figures))
        table.add_row(f"planned and stated, {reader}", *(number(agreement.planned_told) for agreement in agreements))
        table.add_row(f"stated unplanned, {reader}", *(number(agreement.told_unplanned) for agreement in agreements))
    for metric in variety.METRICS:
        table.add_row(metric, *(_value(images.variety[metric], metric) for images in sets))
    table.add_row("sentences", *(f"{images.sentences:.1f}" for images in sets))
    table.add_row("ms per study", *(f"{images.ms_per_study:.0f}" for images in sets))
    return table


def _guards(counts: dict[str, GuardCounts]) -> Table:
    table = new_table("\nGuards: number of reports that", "", *counts)
    rows = (
        ("affirm a tag that was not planned", "unplanned"),
        ("leave out a planned tag", "untold"),
        ("have an empty section", "empty_section"),
        ("lost sentences that contradicted the plan", "contradicting"),
        ("    such sentences", "removed"),
        ("got plain sentences for planned tags left out", "repaired"),
        ("    such sentences", "added"),
        ("have no planned tag", "no_plan"),
        ("were drafted", "reports"),
    )
    for title, field in rows:
        table.add_row(title, *(str(getattr(guards, field)) for guards in counts.values()))
    return table


def language_table(counts: dict[str, LanguageCounts]) -> Table:
    """Reports with a fault of language, and the number of faults where a report can have several."""
    table = new_table("\nLanguage: number of reports (faults) that", "", *counts)
    for fault, title in FAULTS.items():
        table.add_row(title, *(f"{c.reports_with[fault]} ({c.faults[fault]})" for c in counts.values()))
    table.add_row("have any of these but a comparison", *(str(c.reports_with_any) for c in counts.values()))
    table.add_row("were read", *(str(c.reports) for c in counts.values()))
    return table


def _abstention(rates: tuple[AbstentionRates, ...]) -> Iterator[Table]:
    """Alarms on frontal chest radiographs, and on other images."""
    for title, plausible in (("False alarms: chest radiographs", True), ("Detection: anything else", False)):
        kinds = [rate for rate in rates if rate.plausible is plausible]
        if kinds:
            columns = ("images", "n", "warned", "95 %", "refused", "95 %")
            table = new_table(f"\n{title}", *columns)
            for rate in kinds:
                cells = (
                    cell for name in METRICS for cell in (number(rate.shares[name].value), interval(rate.shares[name]))
                )
                table.add_row(rate.kind, str(rate.images), *cells)
            yield table


def _sample(sample: Sample) -> Text:
    plan = ", ".join(f"{tag} {probability:.2f}" for tag, probability in sample.plan.items()) or "none"
    return Text(
        f"\n{sample.image}, label {sample.label}; plan: {plan}\n"
        f"Findings: {sample.findings}\nImpression: {sample.impression}"
    )


def _value(figure: Figure | None, metric: str) -> str:
    if figure is None:
        return NONE
    return f"{figure.value:.0f}" if metric in _COUNTS else number(figure.value)
