"""How long the command line takes to start a run, with an empty compile cache and then with a full one."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hindsight_jax.runs import records


def measure(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """Seconds of a cold and of a warm start, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        return {
            cache_state: start(name, seeds, cache, Path(folder, cache_state), "--config.total_steps=25000")
            for cache_state in ("cold", "warm")
        }


def start(name: str, seeds: int, cache: Path, workdir: Path, *arguments: str) -> dict[str, float]:
    """Seconds until the first state, until the first records, and how many of these were training and evaluation.

    Raises RuntimeError with the run's output if it ends without a record.
    """
    command = [sys.executable, "-m", "experiments.run", f"--config={name}", f"--config.seeds={seeds}", *arguments]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
    environment.pop("XLA_FLAGS", None)  # those of this process are for another number of members
    began = time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([*command, f"--workdir={workdir}"], env=environment, **pipes) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        state = time.perf_counter() - began
        table = workdir / "metrics.jsonl"
        while not (table.exists() and b"\n" in table.read_bytes()):
            if process.poll() is not None:
                raise RuntimeError(f"the run ended without a record: {first_line}{process.stdout.read()}")
            time.sleep(0.02)
        reached = time.perf_counter() - began
        process.terminate()
        process.communicate()
    row = records.decode(table.read_text().splitlines()[0])
    work = row["seconds_train"] + row["seconds_evaluate"]
    return {"first_state": state, "first_rows": reached, "of_which_training_and_evaluation": work}
