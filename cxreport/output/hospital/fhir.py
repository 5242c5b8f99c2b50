"""Resources of FHIR R4 (hl7.org/fhir/R4) of drafted reports, as plain dictionaries.

Ids are derived from the study, the bundle and the text, so that the same report has the same ids and bytes. A finding
is coded where a sentence states it, never as absent: a probability below a threshold denies nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import uuid
from typing import TYPE_CHECKING, Any

from cxreport import DISCLAIMER, __version__
from cxreport.output.hospital.codes import FINDINGS, IMPRESSIONS, PRESENT, REPORT, TAG_CODES, Code, Scheme
from cxreport.output.hospital.stated_tags import one_line, stated_tags
from cxreport.output.schema import rounded
from cxreport.sentences import Assertion
from cxreport.types import Section

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.reading.dicom.study_header import StudyHeader
    from cxreport.types import Failure, Report

Resource = dict[str, Any]
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_SECTIONS = {Section.FINDINGS: FINDINGS, Section.IMPRESSION: IMPRESSIONS}
_GENDERS = {"M": "male", "F": "female", "O": "other"}
_DISPLAYED = (Scheme.SNOMED_CT, Scheme.DICOM)
"""Schemes whose own terms are the meanings of the table of codes; DICOM calls LOINC's by other names."""


def bundle(report: Report, header: StudyHeader, manifest: DraftingModel) -> Resource:
    """Build a Bundle (type collection) with the report and what it refers to.

    Args:
        report: with sentences.
        header: of its study.
        manifest: of the bundle that drafted it.

    Returns:
        DiagnosticReport, Patient, ImagingStudy, Device, an Observation for each section, and one for each reporting
        tag that a sentence states, in this order.
    """
    names = _Names("\n".join((header.study_uid, manifest.sha256, __version__, _document(report))))
    observations = _observations(report, header, names)
    resources = {
        "report": _diagnostic_report(report, header, names, list(observations)),
        "patient": _patient(header),
        "imaging-study": _imaging_study(header, names),
        "device": _device(manifest),
        **observations,
    }
    entries = [
        {"fullUrl": names.url(name), "resource": _filled({**resource, "id": names.id(name)})}
        for name, resource in resources.items()
    ]
    return {"resourceType": "Bundle", "id": names.id("bundle"), "type": "collection", "entry": entries}


def operation_outcome(failure: Failure) -> Resource:
    """Build the OperationOutcome of a failure."""
    error = failure.error
    issue = {
        "severity": "error",
        "code": "processing",
        "details": {"text": one_line(error.message)},
        "diagnostics": one_line(f"{failure.id}: {error.code}. {error.hint}"),
    }
    return {"resourceType": "OperationOutcome", "issue": [issue]}


class _Names:
    """Ids of the resources of one Bundle, version 5 UUIDs of what they depend on (RFC 9562 5.5)."""

    def __init__(self, content: str) -> None:
        self._content = content

    def id(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"cxreport {name}\n{self._content}"))

    def url(self, name: str) -> str:
        return f"urn:uuid:{self.id(name)}"

    def reference(self, name: str) -> dict[str, str]:
        return {"reference": self.url(name)}


def _diagnostic_report(report: Report, header: StudyHeader, names: _Names, results: list[str]) -> Resource:
    document = _document(report).encode()
    return {
        "resourceType": "DiagnosticReport",
        "text": _narrative(_document(report)),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": names.url("report")}],
        "status": "preliminary",
        "category": [{"coding": [{"system": f"{_TERMINOLOGY}/v2-0074", "code": "RAD"}]}],
        "code": _concept(REPORT, "Chest radiograph report, drafted by software. Research use only."),
        "subject": names.reference("patient"),
        "effectiveDateTime": _study_time(header),
        "imagingStudy": [names.reference("imaging-study")],
        "result": [names.reference(name) for name in results],
        "conclusion": one_line(" ".join(report.impression)),
        "presentedForm": [
            {
                "contentType": "text/plain; charset=utf-8",
                "language": "en",
                "data": base64.b64encode(document).decode(),
                "size": len(document),
                "hash": base64.b64encode(hashlib.sha1(document, usedforsecurity=False).digest()).decode(),
                "title": "Drafted report, research use only",
            }
        ],
    }


def _patient(header: StudyHeader) -> Resource:
    identifier = {"value": header.patient_id, "assigner": {"display": header.issuer} if header.issuer else None}
    name = header.name and {
        "text": header.name.text,
        "family": header.name.family,
        "given": [part for part in (header.name.given, header.name.middle) if part],
        "prefix": [part for part in (header.name.prefix,) if part],
        "suffix": [part for part in (header.name.suffix,) if part],
    }
    return {
        "resourceType": "Patient",
        "identifier": [_filled(identifier)] if header.patient_id else [],
        "name": [_filled(name)] if name else [],
        "gender": _GENDERS.get(header.sex, "unknown") if header.sex else None,
        "birthDate": header.birth_date,
    }


def _imaging_study(header: StudyHeader, names: _Names) -> Resource:
    accession = {
        "type": {"coding": [{"system": f"{_TERMINOLOGY}/v2-0203", "code": "ACSN"}]},
        "value": header.accession_number,
    }
    series: dict[str, Resource] = {}
    for image in header.images:
        if not image.modality:  # required of a series
            continue
        modality = {"system": Scheme.DICOM.url, "code": image.modality}
        entry = series.setdefault(image.series_uid, {"uid": image.series_uid, "modality": modality, "instance": []})
        sop_class = {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{image.sop_class_uid}"}
        entry["instance"].append({"uid": image.sop_instance_uid, "sopClass": sop_class})
    study = {"system": "urn:dicom:uid", "value": f"urn:oid:{header.study_uid}"}
    return {
        "resourceType": "ImagingStudy",
        "identifier": [study, accession] if header.accession_number else [study],
        "status": "available",
        "subject": names.reference("patient"),
        "started": _study_time(header),
        "series": list(series.values()),
    }


def _device(manifest: DraftingModel) -> Resource:
    versions = {
        "cxreport": __version__,
        "model": f"{manifest.name} {manifest.version}",
        "model SHA-256": manifest.sha256,
    }
    return {
        "resourceType": "Device",
        "deviceName": [{"name": "cxreport", "type": "model-name"}],
        "type": {"text": "Software that drafts reports of chest radiographs"},
        "version": [{"type": {"text": name}, "value": value} for name, value in versions.items()],
        "note": [{"text": DISCLAIMER}],
    }


def _observations(report: Report, header: StudyHeader, names: _Names) -> dict[str, Resource]:
    """Observations of the sections, and of what their sentences state, by names for their ids."""
    common = {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [{"coding": [{"system": f"{_TERMINOLOGY}/observation-category", "code": "imaging"}]}],
        "subject": names.reference("patient"),
        "effectiveDateTime": _study_time(header),
        "device": names.reference("device"),
        "derivedFrom": [names.reference("imaging-study")],
    }
    texts = {Section.FINDINGS: report.findings, Section.IMPRESSION: report.impression}
    sections = {
        str(section): {
            "text": _narrative(" ".join(texts[section])),
            "code": _concept(code, code.meaning),
            "valueString": one_line(" ".join(texts[section])),
            "note": [{"text": DISCLAIMER}],
        }
        for section, code in _SECTIONS.items()
        if texts[section]
    }
    return {name: common | content for name, content in (sections | _statements(report)).items()}


def _statements(report: Report) -> dict[str, Resource]:
    """Observations of the tags that sentences state."""
    return {
        f"statement {stated.name}": {
            "text": _narrative(f"{stated.name}: {stated.value}."),
            "code": _concept(TAG_CODES.get(stated.name), stated.name),
            "valueCodeableConcept": _concept(PRESENT if stated.assertion is Assertion.PRESENT else None, stated.value),
            "note": [{"text": one_line(text)} for text in (DISCLAIMER, *stated.texts)],
            "component": [] if stated.probability is None else [_probability(stated.probability)],
        }
        for stated in stated_tags(report)
    }


def _probability(probability: float) -> Resource:
    quantity = {"value": rounded(probability), "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}
    return {"code": {"text": "Calibrated probability"}, "valueQuantity": quantity}


def _concept(code: Code | None, text: str) -> Resource:
    if code is None:
        return {"text": text}
    display = {"display": code.meaning} if code.scheme in _DISPLAYED and code.in_pydicom else {}
    return {"coding": [{"system": code.scheme.url, "code": code.value, **display}], "text": text}


def _study_time(header: StudyHeader) -> str:
    """Date and time of the study; the date alone without a time zone, as FHIR has no time without one."""
    whole = header.study_date.count("-") == 2 and header.study_time
    return f"{header.study_date}T{header.study_time}" if whole else header.study_date


def _document(report: Report) -> str:
    """The report as text, with what its reader should know."""
    sections = {"Findings": report.findings, "Impression": report.impression, "Warnings": report.warnings_without_paths}
    parts = [DISCLAIMER, *(f"{name}: {' '.join(texts)}" for name, texts in sections.items() if texts)]
    return "".join(f"{one_line(part)}\n" for part in parts)


def _narrative(text: str) -> Resource:
    lines = dict.fromkeys((DISCLAIMER, *text.splitlines()))
    paragraphs = "".join(f"<p>{html.escape(one_line(line))}</p>" for line in lines)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'}


def _filled(resource: Resource) -> Resource:
    """The elements that have a value: FHIR has no empty ones."""
    return {name: value for name, value in resource.items() if value not in (None, "", [], {})}
