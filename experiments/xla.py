"""What the commands ask of XLA, before it compiles anything."""

import os

import jax

SCHEDULER = "--xla_cpu_enable_concurrency_optimized_scheduler"


def avoid_deadlock() -> None:
    """Sets XLA_FLAGS so that large programs end on a CPU of few cores; a flag of the user's own wins.

    The scheduler that jaxlib 0.10 has by default lets parts of a program run at once, on a pool of as many threads as
    there are cores; a rollout of 1,000 claws on two cores then waits for itself for ever. Other versions are left
    alone: XLA ends a process whose flags it does not know.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if jax.__version_info__[:2] == (0, 10) and SCHEDULER not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {SCHEDULER}=false".strip()
