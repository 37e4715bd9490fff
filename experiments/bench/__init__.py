"""Speed against limits: python -m experiments.bench."""
