#!/usr/bin/env bash
# A Typst compiler that was made of a source in memory makes one document of it, and does not find it for a second.
#
# Library    typst 0.15.2 (PyPI, the bindings of messense)
# Input      `typst.Compiler(b"= Title")`, a valid source as bytes, as the docstring allows ("Optional .typ file bytes")
# Guess      compile() makes the document each time; a compiler is there to be used again, with other `sys_inputs`.
# Behaviour  the first call returns the PDF, the second raises TypstError "file not found (searched at
#            .../__typst_py_bytes__.typ)", also with the same inputs; with `input=` in each call it returns the same bytes.
# Hurts      a run that makes a document per study from one template in memory: the first study works, so do tests with one.
# Source     own measurement
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check typst==0.15.2 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'PY'
import typst

SOURCE = b"#set document(date: none)\n= Title"


def outcome(compiler: typst.Compiler, **settings: object) -> str:
    try:
        return "PDF" if compiler.compile(format="pdf", timestamp=0, **settings).startswith(b"%PDF") else "no PDF"
    except typst.TypstError as error:
        return str(error).split(" (")[0]


once, each = typst.Compiler(SOURCE), typst.Compiler()
seen = {
    "source of the compiler": [outcome(once), outcome(once)],
    "source of each call": [outcome(each, input=SOURCE), outcome(each, input=SOURCE)],
}
print(seen)
assert seen == {"source of the compiler": ["PDF", "file not found"], "source of each call": ["PDF", "PDF"]}
print("as described: the second document has no source")
PY
