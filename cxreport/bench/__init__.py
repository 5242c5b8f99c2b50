"""Timings: stages, codecs, bare networks, memory and start-up."""
