from __future__ import annotations

import pytest
from pydicom.sr._concepts_dict import concepts

from cxreport.output.hospital import codes
from cxreport.output.hospital.codes import TAG_CODES, UNCODED, Code, Scheme
from cxreport.text.lexicon import packaged

ALL = [value for value in vars(codes).values() if isinstance(value, Code)] + list(TAG_CODES.values())
PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def dihedral(a: int, b: int) -> int:
    """Product in the dihedral group of ten elements."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def is_verhoeff(number: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(number)):
        permuted = int(digit)
        for _ in range(place % 8):
            permuted = PERMUTATION[permuted]
        check = dihedral(check, permuted)
    return check == 0


def is_mod_10(code: str) -> bool:
    number, check = code.split("-")
    digits = [int(digit) * (1 + (place % 2 == 0)) for place, digit in enumerate(reversed(number))]
    return (sum(digit // 10 + digit % 10 for digit in digits) + int(check)) % 10 == 0


CHECKS = {Scheme.SNOMED_CT: is_verhoeff, Scheme.LOINC: is_mod_10}


@pytest.mark.parametrize("code", [code for code in ALL if code.scheme in CHECKS], ids=lambda code: code.meaning)
def test_a_code_has_its_check_digit(code: Code) -> None:
    valid = CHECKS[code.scheme]
    assert valid(code.value)
    last = str((int(code.value[-1]) + 1) % 10)
    assert not valid(code.value[:-1] + last)


@pytest.mark.parametrize("code", [code for code in ALL if code.in_pydicom], ids=lambda code: code.meaning)
def test_a_code_is_in_the_dictionary_with_its_meaning(code: Code) -> None:
    meanings = {entry[code.value][0] for entry in concepts[code.scheme].values() if code.value in entry}
    assert code.meaning in meanings


def test_codes_that_the_dictionary_lacks_are_known_by_name() -> None:
    others = {code.meaning for code in ALL if not code.in_pydicom}
    assert others == {"Cardiomegaly", "Consolidation", "Pneumonia", "Atelectasis", "English"}
    assert not [
        name
        for code in ALL
        if not code.in_pydicom
        for name in concepts.get(code.scheme, {}).values()
        if code.value in name
    ]


def test_each_reporting_tag_has_a_code_or_a_reason() -> None:
    assert TAG_CODES.keys().isdisjoint(UNCODED)
    assert {*TAG_CODES, *UNCODED} == set(packaged().reporting_tags)
    assert len({code.value for code in ALL}) == len(ALL)
