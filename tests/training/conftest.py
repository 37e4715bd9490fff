"""Readable failures of the comparisons of small runs."""
