"""Measurements on public collections, beside trivial baselines and with intervals."""
