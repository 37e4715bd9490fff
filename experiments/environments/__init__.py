"""What the tasks are before anybody trains on them: python -m experiments.environments."""
