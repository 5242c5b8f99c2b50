"""Explanation of a report: a page and terminal output."""
