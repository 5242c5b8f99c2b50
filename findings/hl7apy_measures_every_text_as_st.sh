#!/usr/bin/env bash
# hl7apy, strict, refuses an HL7 v2 observation of 200 characters, though it is of the type TX, which takes 65,536.
#
# Libraries  hl7apy 1.3.5
# Input      a valid ORU^R01 of HL7 2.5.1 with one OBX, whose OBX-2 is TX and whose OBX-5 is a text of 199 or 200 characters
# Guess      both are taken: OBX-2 says which type OBX-5 has, and hl7apy's own TX takes 65,536 characters.
# Behaviour  199 characters parse; 200 raise MaxLengthReached: OBX-5, of the type "varies" in its tables, is measured as an ST
#            of at most 199 characters, whatever OBX-2 says.
# Hurts      a Findings section is mostly longer than that. Receivers that validate with hl7apy refuse the whole report,
#            while senders that were tested on short texts pass. The way round is a repetition per line.
# Source     own measurement
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check hl7apy==1.3.5 2>/dev/null
"$work/venv/bin/python" - <<'PY'
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import MaxLengthReached
from hl7apy.parser import parse_message
from hl7apy.v2_5_1 import TX

STRICT = VALIDATION_LEVEL.STRICT
SEGMENTS = (
    "MSH|^~\\&|A||||20200102030405+0000||ORU^R01^ORU_R01|1|T|2.5.1",
    "PID|1||1||Family^Given",
    "OBR|1|||18748-4^Diagnostic Imaging Report^LN",
    "OBX|1|TX|59776-5^Findings^LN||{}||||||P",
)


def outcome(text: str) -> str:
    try:
        return str(parse_message("\r".join(SEGMENTS).format(text), validation_level=STRICT).validate())
    except MaxLengthReached as error:
        return type(error).__name__


TX("x" * 65536, validation_level=STRICT)
seen = {
    "199": outcome("x" * 199),
    "200": outcome("x" * 200),
    "2 x 199": outcome("~".join(["x" * 199] * 2)),
}
print("OBX-5 of so many characters, OBX-2 is TX:", seen)
assert seen == {"199": "True", "200": "MaxLengthReached", "2 x 199": "True"}
print("as described: refused from 200 characters on")
PY
