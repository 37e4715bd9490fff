"""Trains one run of JaxGCRL or of ours in a process of its own, and prints each evaluation as a line of JSON.

    PYTHON driver.py LIBRARY FOUND                 whether JaxGCRL is installed there: its versions and commit
    PYTHON driver.py jaxgcrl '{"env": "reacher", "seed": 0, ...}'
    PYTHON driver.py hindsight_jax '{"name": "hem_brax_reacher", "overrides": {...}, "seed": 0}'

PYTHON may be another environment's, so this file imports the standard library, and each function what it drives. The
first line, once the task is made, says what was imported, and each that follows is an evaluation:

    {"imported": {"python": "3.11.7", "jax": "0.4.25", ...}, "device": "cpu", "compile_seconds": 0.4}
    {"env_steps": 91264, "updates": 150, "success_any": 0.31, "success_end": 0.22,
     "compile_seconds": 14.2, "evaluation_seconds": 1.9}

Seconds are sums since the process began; those of evaluation do not hold those of compilation. Whatever else is
printed goes to the standard error.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "brax", "mujoco", "mujoco-mjx", "numpy")

PEER_MODULES = ("agents.crl.crl", "utils.config", "utils.env")

Publish = Callable[[dict[str, Any]], None]


class EnoughError(Exception):
    """JaxGCRL's last evaluation was printed."""


class Clock:
    """Seconds that JAX has spent on compilation, and that were spent on evaluation, in this process."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now, self.evaluation = now, 0.0
        self.spans: list[tuple[float, float]] = []

    def listen(self) -> None:
        """Counts what JAX compiles from here on."""
        import jax.monitoring

        jax.monitoring.register_event_duration_secs_listener(self.note)

    def note(self, event: str, duration_secs: float, **more: Any) -> None:
        """Adds the span of an event of compilation that ends now: tracing, lowering, or XLA's own."""
        if event.startswith("/jax/core/compile/"):
            end = self.now()
            self.spans.append((end - duration_secs, end))

    def compilation(self) -> float:
        """Seconds within any span: one traces inside of another, and threads compile side by side."""
        merged: list[tuple[float, float]] = []
        for start, end in sorted(self.spans):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        self.spans = merged
        return sum(end - start for start, end in merged)

    def evaluate(self, call: Callable[[], Any]) -> Any:
        """What the call returns; its seconds are evaluation, but for those of compilation."""
        start, compiled = self.now(), self.compilation()
        result = call()
        self.evaluation += self.now() - start - (self.compilation() - compiled)
        return result

    def seconds(self) -> dict[str, float]:
        """The figures of an evaluation that depend on the clock."""
        return {"compile_seconds": self.compilation(), "evaluation_seconds": self.evaluation}


def main(argv: list[str]) -> None:
    """Runs what the arguments name; its lines are the only ones on the standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    library, text = argv
    if text == "FOUND":
        print(json.dumps(found(library)), file=out, flush=True)
        return
    clock = Clock()
    clock.listen()
    publish = lambda line: print(json.dumps(line), file=out, flush=True)
    {"jaxgcrl": jaxgcrl, "hindsight_jax": hindsight_jax}[library](json.loads(text), publish, clock)


def found(library: str) -> dict[str, Any]:
    """Versions of Python and the packages, and the commit of the library's sources; None where it has none.

    >>> sorted(found("experiments"))
    ['commit', 'is_there', 'versions']
    """
    versions: dict[str, str | None] = {"python": sys.version.split()[0]}
    for package in (library, *PACKAGES):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    spec = importlib.util.find_spec(library)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return {"is_there": spec is not None, "versions": versions, "commit": commit(Path(folders[0])) if folders else None}


def imported(library: str, clock: Clock) -> dict[str, Any]:
    """The first line. Starts JAX's backend."""
    import jax

    versions, device = found(library)["versions"], jax.devices()[0].device_kind
    return {"imported": versions, "device": device, "compile_seconds": clock.compilation()}


def commit(folder: Path) -> str | None:
    """The commit of the repository that tracks the folder's files; None if there is none, or no git."""
    git = lambda *words: subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("rev-parse", "HEAD").stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def jaxgcrl(settings: dict[str, Any], publish: Publish, clock: Clock) -> None:
    """Trains JaxGCRL's CRL with the flags `settings`, all others as it ships them; nothing is rendered or logged."""
    crl, config, env = (importlib.import_module(f"jaxgcrl.{name}") for name in PEER_MODULES)
    task, eval_task = (env.create_env(settings["env"]) for _ in range(2))
    publish(imported("jaxgcrl", clock))
    left = [settings["num_evals"]]

    def progress(env_steps: int, metrics: dict[str, Any], *policy: Any, **options: Any) -> None:
        publish({"env_steps": env_steps, **metrics, **clock.seconds()})
        left[0] -= 1
        if not left[0]:  # its `train_fn` returns what it binds only where it keeps checkpoints
            raise EnoughError

    crl.ActorEvaluator = evaluator(crl.ActorEvaluator, clock)
    try:
        crl.CRL().train_fn(config.RunConfig(**settings), task, with_success_end(eval_task), progress_fn=progress)
    except EnoughError:
        return


def with_success_end(task: Any) -> Any:
    """The task with the change of success among its metrics: summed over an episode, that is success at its end."""
    from brax.envs import Wrapper

    class SuccessEnd(Wrapper):
        def reset(self, rng: Any) -> Any:
            state = self.env.reset(rng)
            state.metrics["success_end"] = state.metrics["success"]
            return state

        def step(self, state: Any, action: Any) -> Any:
            before = state.metrics["success"]  # of the step before; the environment writes into this dict
            after = self.env.step(state, action)
            after.metrics["success_end"] = after.metrics["success"] - before
            return after

    return SuccessEnd(task)


def evaluator(base: Any, clock: Clock) -> Any:
    """JaxGCRL's evaluator, which plays the same episodes from the same keys, with what we compare as its metrics.

    Its own averages a metric that its reacher does not have, and tells no success at the end.
    """
    import jax
    import numpy as np

    class Evaluator(base):
        def run_evaluation(self, training_state: Any, training_metrics: Any, aggregate_episodes: bool = True) -> Any:
            self._key, key = jax.random.split(self._key)
            state = clock.evaluate(lambda: jax.block_until_ready(self._generate_eval_unroll(training_state, key)))
            episodes = {name: np.asarray(x) for name, x in state.info["eval_metrics"].episode_metrics.items()}
            return {
                "updates": int(training_state.gradient_steps),
                "success_any": float(np.mean(episodes["success"] > 0.0)),
                "success_end": float(np.mean(episodes["success_end"] > 0.5)),
            }

    return Evaluator


def hindsight_jax(settings: dict[str, Any], publish: Publish, clock: Clock) -> None:
    """Trains one seed of the run `name` of ours, with the values `overrides` in place of its own."""
    from hindsight_jax.runs import jax_flags

    jax_flags.configure_jax(1)

    import jax

    from hindsight_jax import presets, training

    setup = presets.build(settings["name"], presets.config(settings["name"], settings["overrides"]))
    publish(imported("hindsight_jax", clock))
    population = training.make_population(setup.run, training.devices_for(1))
    keys = training.member_keys(settings["seed"], 1)
    population.compile(keys)
    state, epochs, every = population.init(keys), 0, setup.epochs_between_evaluations
    while epochs < setup.num_epochs:
        count = min(every, setup.num_epochs - epochs)
        epochs += count
        state = jax.block_until_ready(population.advance(state, count))
        results = clock.evaluate(lambda state=state: jax.block_until_ready(population.evaluate(state, keys)))
        state, columns = population.record(state, results)
        line = {name: columns[name][0].item() for name in ("env_steps", "updates", "success_any", "success_end")}
        publish(line | clock.seconds())


if __name__ == "__main__":
    main(sys.argv[1:])
