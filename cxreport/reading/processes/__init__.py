"""Processes that read files, and their limits."""
