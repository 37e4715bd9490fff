"""Checkpoints: arrays on disk that a restore returns bit for bit, or refuses."""
