"""Speed beside its limits: python -m experiments.bench."""
