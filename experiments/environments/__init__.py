"""What the tasks are before any training: python -m experiments.environments."""
