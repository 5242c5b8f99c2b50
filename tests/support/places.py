"""Folders that the tests read from."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""
DATA = ROOT / "tests" / "data"
"""Tiny bundles."""
EXAMPLES = ROOT / "examples"
SHARED = ROOT.parent / "shared"
"""Data that is never committed; tests that need it are skipped where it is absent."""
