"""The command `hindsight-jax`: flags, their validated arguments, help, and the main function."""
