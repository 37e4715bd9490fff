"""Settings of every test: ranks never promote, and physics warnings of other people's imports stay quiet."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MUJOCO_GL", "disable")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
