"""Drafted reports as PDF."""
