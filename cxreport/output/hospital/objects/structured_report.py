"""Structured report: a draft as a Comprehensive SR document by TID 2000, Basic Diagnostic Imaging Report (PS3.16).

A code is given where a sentence states its finding as present. What is possible or denied is told by the sentence, as a
probability below a threshold denies nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import UID, ComprehensiveSRStorage, ExplicitVRLittleEndian

from cxreport import DISCLAIMER, __version__
from cxreport.output.hospital.codes import (
    ALGORITHM_NAME,
    ALGORITHM_PARAMETERS,
    ALGORITHM_VERSION,
    CERTAINTY,
    DEVICE,
    DEVICE_MANUFACTURER,
    DEVICE_MODEL,
    DEVICE_NAME,
    DEVICE_SERIAL_NUMBER,
    DEVICE_UID,
    ENGLISH,
    EQUIVALENT_MEANING,
    FINDING,
    FINDINGS,
    IMPRESSION,
    IMPRESSIONS,
    LANGUAGE,
    OBSERVER_TYPE,
    PERCENT,
    PROCEDURE_DESCRIPTION,
    PROCEDURE_DESCRIPTIONS,
    REPORT,
    SOURCE_OF_MEASUREMENT,
    TAG_CODES,
    VISUAL_EXPLANATION,
    Code,
)
from cxreport.output.hospital.objects.content_items import (
    CONCEPT_MODIFIER,
    INFERRED_FROM,
    OBSERVATION_CONTEXT,
    code,
    container,
    encoded_items,
    image,
    new_item,
    number,
    reference,
    text,
    uid_reference,
)
from cxreport.output.hospital.objects.identity import (
    DraftedStudy,
    Kind,
    attributes_of_instance,
    completed,
    derived_uid,
    references,
)
from cxreport.output.schema import rounded
from cxreport.reading.instance import OWN_MARK
from cxreport.sentences import Assertion, Sentence
from cxreport.types import Section

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.reading.dicom.study_header import ImageReference

_TEMPLATE = "2000"
_HEADINGS = {Section.FINDINGS: (FINDINGS, FINDING), Section.IMPRESSION: (IMPRESSIONS, IMPRESSION)}
"""Section -> its heading (CID 7001) and what its sentences are (CID 7002)."""


def structured_report(drafted: DraftedStudy, heat_map: Dataset | None = None) -> Dataset:
    """Build the document.

    Args:
        drafted: study, with an image at least.
        heat_map: object that goes with it, which the findings are then linked to.

    Returns:
        A preliminary, unverified document in a series of its own. Its evidence is all images of the study that were
        read, and the heat map.
    """
    digest = drafted.digest(Kind.REPORT, *_spoken(drafted), heat_map.SOPInstanceUID if heat_map else "")
    items = [*observation_context(drafted.manifest), _procedure(drafted), *_sections(drafted, heat_map)]
    root = container(REPORT, items, _TEMPLATE)
    return document(drafted, Kind.REPORT, ComprehensiveSRStorage, digest, root, heat_map)


def document(
    drafted: DraftedStudy, kind: Kind, sop_class: UID, digest: str, root: Dataset, heat_map: Dataset | None
) -> Dataset:
    """Put a tree of content into a document (SR Document General and Content modules, PS3.3 C.17.2, C.17.3).

    `highdicom.sr.ComprehensiveSR` does the same, but copies and searches the tree several times, which takes four times
    as long as all the rest.

    Args:
        drafted: study.
        kind: of the document.
        sop_class: of the document.
        digest: of its content.
        root: container with the content.
        heat_map: object that the content refers to.
    """
    instance = SOPClass(
        sop_class_uid=sop_class,
        modality="SR",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **attributes_of_instance(drafted, kind, digest),
    )
    instance.CompletionFlag, instance.VerificationFlag = "COMPLETE", "UNVERIFIED"
    instance.PreliminaryFlag = "PRELIMINARY"
    instance.PerformedProcedureCodeSequence, instance.ReferencedPerformedProcedureStepSequence = [], []
    evidence = _evidence(drafted, heat_map)
    if evidence.ReferencedSeriesSequence:
        instance.CurrentRequestedProcedureEvidenceSequence = [evidence]
    instance.update(root)
    return completed(instance, drafted)


def observation_context(manifest: DraftingModel) -> tuple[Dataset, ...]:
    """Language (TID 1204) and observer (TID 1001), which is the program with its bundle."""
    return _observation_context(manifest.name, manifest.version, manifest.sha256)


@functools.lru_cache(maxsize=8)
def _observation_context(name: str, version: str, sha256: str) -> tuple[Dataset, ...]:
    uid = derived_uid("device", sha256, __version__)
    return encoded_items(
        [
            code(LANGUAGE, ENGLISH, CONCEPT_MODIFIER),
            code(OBSERVER_TYPE, DEVICE, OBSERVATION_CONTEXT),
            uid_reference(DEVICE_UID, uid, OBSERVATION_CONTEXT),
            text(DEVICE_NAME, OWN_MARK, OBSERVATION_CONTEXT),
            text(DEVICE_MANUFACTURER, OWN_MARK, OBSERVATION_CONTEXT),
            text(DEVICE_MODEL, f"{name} {version}", OBSERVATION_CONTEXT),
            text(DEVICE_SERIAL_NUMBER, sha256, OBSERVATION_CONTEXT),
        ]
    )


def certainty(
    meaning: str,
    probability: float,
    manifest: DraftingModel,
    relationship: str = INFERRED_FROM,
    images: Sequence[Dataset] = (),
) -> Dataset:
    """A probability, 0 to 1, as a certainty in percent (TID 300), told apart from others by its meaning."""
    identified = _identified(meaning, manifest.name, manifest.version, manifest.sha256)
    return number(CERTAINTY, round(rounded(probability) * 100, 2), PERCENT, relationship, [*identified, *images])


@functools.lru_cache(maxsize=256)
def _identified(meaning: str, name: str, version: str, sha256: str) -> tuple[Dataset, ...]:
    """What a probability is one of, and the bundle as the algorithm that it is from (TID 4019)."""
    return encoded_items(
        [
            text(EQUIVALENT_MEANING, f"{meaning}, research use only", CONCEPT_MODIFIER),
            text(ALGORITHM_NAME, name, CONCEPT_MODIFIER),
            text(ALGORITHM_VERSION, version, CONCEPT_MODIFIER),
            text(ALGORITHM_PARAMETERS, f"cxreport {__version__}", CONCEPT_MODIFIER),
            text(ALGORITHM_PARAMETERS, f"SHA-256 {sha256}", CONCEPT_MODIFIER),
        ]
    )


def _evidence(drafted: DraftedStudy, heat_map: Dataset | None) -> Dataset:
    """Images of a study and the heat map, by series: images alone, as viewers look for pixels behind them."""
    by_series: dict[str, list[ImageReference]] = {}
    for each in drafted.images:
        by_series.setdefault(each.series_uid, []).append(each)
    series = [_series(uid, references(images)) for uid, images in by_series.items()]
    if heat_map is not None:
        series.append(_series(heat_map.SeriesInstanceUID, [reference(heat_map.SOPClassUID, heat_map.SOPInstanceUID)]))
    study = new_item()
    study.StudyInstanceUID = drafted.header.study_uid
    study.ReferencedSeriesSequence = series
    return study


def _series(uid: str, instances: list[Dataset]) -> Dataset:
    item = new_item()
    item.SeriesInstanceUID = uid
    item.ReferencedSOPSequence = instances
    return item


def _procedure(drafted: DraftedStudy) -> Dataset:
    """What the document is, before what it says."""
    manifest = drafted.manifest
    texts = (
        DISCLAIMER,
        f"Drafted by cxreport {__version__} with {manifest.name} {manifest.version} (SHA-256 {manifest.sha256}).",
        *drafted.warnings,
    )
    return container(PROCEDURE_DESCRIPTIONS, [text(PROCEDURE_DESCRIPTION, each) for each in texts])


def _sections(drafted: DraftedStudy, heat_map: Dataset | None) -> list[Dataset]:
    """A container for each section; what is stated is coded where it is first told."""
    told: set[str] = set()
    shown = encoded_items(
        image(SOURCE_OF_MEASUREMENT, each.sop_class_uid, each.sop_instance_uid) for each in drafted.images[:1]
    )
    maps = [] if heat_map is None else [image(VISUAL_EXPLANATION, heat_map.SOPClassUID, heat_map.SOPInstanceUID)]
    explained = (*shown, *encoded_items(maps))
    containers = []
    for section, (heading, kind) in _HEADINGS.items():
        sentences = [sentence for sentence in drafted.report.sentences if sentence.section is section]
        items = [
            item
            for sentence in sentences
            for item in _sentence(sentence, kind, told, drafted.manifest, explained if sentence.affirmed else shown)
        ]
        if items:
            containers.append(container(heading, items))
    return containers


def _sentence(
    sentence: Sentence, kind: Code, told: set[str], manifest: DraftingModel, images: tuple[Dataset, ...]
) -> list[Dataset]:
    """A sentence, and behind it the codes of what it states; probabilities are grounds of a code, or of the text."""
    grounds = list(images)
    codes = []
    for statement in sentence.affirmed:
        if statement.tag in told:
            continue
        told.add(statement.tag)
        probability = []
        if statement.probability is not None:
            probability.append(certainty(f"Calibrated probability of {statement.tag}", statement.probability, manifest))
        present = TAG_CODES.get(statement.tag) if statement.assertion is Assertion.PRESENT else None
        if present is None:
            grounds += probability
        else:
            codes.append(code(kind, present, children=probability))
    return [text(kind, sentence.text, children=grounds), *codes]


def _spoken(drafted: DraftedStudy) -> list[str]:
    """All that sections and warnings say, as exactly as records keep it."""
    said = []
    for sentence in drafted.report.sentences:
        said += [str(sentence.section), sentence.text]
        for each in sentence.statements:
            probability = "" if each.probability is None else str(rounded(each.probability))
            said.append(" ".join((each.tag, each.assertion, *each.details, probability)))
    return [*said, *drafted.warnings]
