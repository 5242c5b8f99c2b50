"""Formats of hospitals, for whom a study is one of a patient."""
