"""Content items of structured reports (PS3.3 C.17.3), encoded as far as they are always the same.

`highdicom.sr` has classes for them. It takes longer to build a report of them than to draft it, and pydicom to encode
their codes, so that these are encoded once here, and copied.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from io import BytesIO

from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from cxreport.output.hospital.codes import Code
from cxreport.output.hospital.stated_tags import one_line

CONTAINS, INFERRED_FROM, CONCEPT_MODIFIER = "CONTAINS", "INFERRED FROM", "HAS CONCEPT MOD"
OBSERVATION_CONTEXT = "HAS OBS CONTEXT"
"""Relationships of an item to the one that holds it (PS3.3 table C.17.3-8)."""


def text(kind: Code, value: str, relationship: str = CONTAINS, children: Sequence[Dataset] = ()) -> Dataset:
    """Item of the type TEXT, in one line; it may not be empty."""
    item = _item("TEXT", kind, relationship, children)
    item.TextValue = one_line(value) or "-"
    return item


def code(kind: Code, value: Code, relationship: str = CONTAINS, children: Sequence[Dataset] = ()) -> Dataset:
    """Item of the type CODE."""
    item = _item("CODE", kind, relationship, children)
    _put(item, _coded("ConceptCodeSequence", value))
    return item


def number(kind: Code, value: float, unit: Code, relationship: str, children: Sequence[Dataset] = ()) -> Dataset:
    """Item of the type NUM."""
    item = _item("NUM", kind, relationship, children)
    measured = new_item()
    measured.NumericValue = f"{value:.10g}"
    _put(measured, _coded("MeasurementUnitsCodeSequence", unit))
    item.MeasuredValueSequence = [measured]
    return item


def image(
    purpose: Code | None, sop_class_uid: str, sop_instance_uid: str, relationship: str = INFERRED_FROM
) -> Dataset:
    """Item of the type IMAGE, with its purpose of reference; None in a library, where it has none."""
    item = _item("IMAGE", purpose, relationship)
    item.ReferencedSOPSequence = [reference(sop_class_uid, sop_instance_uid)]
    return item


def uid_reference(kind: Code, uid: str, relationship: str) -> Dataset:
    """Item of the type UIDREF."""
    item = _item("UIDREF", kind, relationship)
    item.UID = uid
    return item


def container(heading: Code, children: Sequence[Dataset], template: str | None = None) -> Dataset:
    """Item of the type CONTAINER; with the number of a template of PS3.16, the root of a document."""
    item = _item("CONTAINER", heading, None if template else CONTAINS, children)
    item.ContinuityOfContent = "SEPARATE"
    if template:
        identification = new_item()
        identification.MappingResource, identification.TemplateIdentifier = "DCMR", template
        item.ContentTemplateSequence = [identification]
    return item


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Item that refers to an instance (PS3.3 table 10-11)."""
    item = new_item()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def new_item() -> Dataset:
    """Empty item of a sequence, for explicit VR in little endian, as pydicom need not be told again."""
    item = Dataset()
    item.set_original_encoding(False, True, default_encoding)
    return item


def encoded_items(items: Iterable[Dataset]) -> tuple[Dataset, ...]:
    """Items whose elements are encoded, to be put into any number of documents."""
    return tuple(_reread(item) for item in items)


def _item(value_type: str, concept: Code | None, relationship: str | None, children: Sequence[Dataset] = ()) -> Dataset:
    item = new_item()
    if relationship is not None:
        item.RelationshipType = relationship
    item.ValueType = value_type
    if concept is not None:
        _put(item, _coded("ConceptNameCodeSequence", concept))
    if children:
        item.ContentSequence = list(children)
    return item


@functools.cache
def _coded(keyword: str, code: Code) -> RawDataElement:
    """A sequence of one code, encoded."""
    value = new_item()
    value.CodeValue, value.CodingSchemeDesignator, value.CodeMeaning = code.value, str(code.scheme), code.meaning
    holder = new_item()
    setattr(holder, keyword, [value])
    (element,) = _reread(holder).elements()
    assert isinstance(element, RawDataElement)
    return element


def _put(item: Dataset, element: RawDataElement) -> None:
    item[element.tag] = element


def _reread(item: Dataset) -> Dataset:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, item, "utf8")
    return read_dataset(BytesIO(stream.getvalue()), False, True)
