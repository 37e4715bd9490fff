"""The command `hindsight-jax` from a checkout: python -m experiments.run --config=hdm_push [--help, --list]."""

from hindsight_jax.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
