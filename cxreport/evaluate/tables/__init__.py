"""Evaluations as tables for the terminal."""
