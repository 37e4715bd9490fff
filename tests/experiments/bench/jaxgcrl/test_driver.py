"""The driver of one run: its clock, what it says of a library, and its lines, of ours and of a stand-in for JaxGCRL."""

import importlib
import json
import subprocess
import sys
import types

import pytest

from experiments.bench.jaxgcrl import compare, driver
from hindsight_jax.runs import jax_flags

COMPILE = "/jax/core/compile/backend_compile_duration"
CLOCK = {"compile_seconds", "evaluation_seconds"}


class Time:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_seconds_within_several_spans_of_compilation_count_once():
    """From 1 to 3 within 0 to 4; 10 to 12 and 11 to 14 side by side; 20 to 21 alone: 4 + 4 + 1."""
    time = Time()
    clock = driver.Clock(time)
    for end, duration in ((3.0, 2.0), (4.0, 4.0), (12.0, 2.0), (14.0, 3.0), (21.0, 1.0)):
        time.now = end
        clock.note(COMPILE, duration, fun_name="step")
    assert clock.compilation() == 9.0
    assert clock.compilation() == 9.0
    clock.note("/jax/compilation_cache/cache_retrieval_time_sec", 5.0)
    assert clock.compilation() == 9.0


def test_evaluation_does_not_count_what_it_compiles():
    """Of 8 seconds 5 compile: 3; the second takes 2 and compiles nothing."""
    time = Time()
    clock = driver.Clock(time)

    def first():
        time.now += 5.0
        clock.note(COMPILE, 5.0)
        time.now += 3.0
        return "found"

    assert clock.evaluate(first) == "found"
    assert clock.seconds() == {"compile_seconds": 5.0, "evaluation_seconds": 3.0}
    clock.evaluate(lambda: setattr(time, "now", time.now + 2.0))
    assert clock.seconds() == {"compile_seconds": 5.0, "evaluation_seconds": 5.0}


def test_jax_tells_the_clock_what_it_compiles():
    jax = importlib.import_module("jax")
    clock = driver.Clock()
    clock.listen()
    try:
        jax.jit(lambda x: x * 3.0 - 1.0)(2.0)
        assert clock.compilation() > 0.0
    finally:
        jax.monitoring.unregister_event_duration_listener(clock.note)


@pytest.mark.parametrize(("library", "is_there"), [("hindsight_jax", True), ("no_such_library", False)])
def test_a_python_says_whether_it_has_the_library(library, is_there):
    command = [sys.executable, str(compare.DRIVER), library, "FOUND"]
    environment = compare._environment() | {"PYTHONPATH": str(compare.ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout)
    assert found["is_there"] is is_there
    assert found["versions"]["python"] == sys.version.split()[0]
    assert found["versions"]["jax"] is not None
    assert found["commit"] is None or (is_there and len(found["commit"]) == 40)


@pytest.mark.seldom
def test_ours_prints_each_evaluation(monkeypatch):
    """Epochs of 2 x 3 steps after 2 x 3 of warm-up: evaluated at 12 steps, 24, and at the end."""
    monkeypatch.setattr(jax_flags, "configure_jax", lambda members: None)
    overrides = {"env.size": 3, "env.num_envs": 2, "replay.warmup": 2, "agent.updates_per_epoch": 2}
    overrides |= {"total_steps": 30, "evaluation.every": 12, "evaluation.episodes": 4, "agent.batch_size": 8}
    lines = []
    driver.hindsight_jax({"name": "her_flip_bit", "overrides": overrides, "seed": 3}, lines.append, driver.Clock())
    assert lines[0]["imported"]["jax"] is not None
    assert [line["env_steps"] for line in lines[1:]] == [18, 30]
    assert [line["updates"] for line in lines[1:]] == [4, 8]
    for line in lines[1:]:
        assert line.keys() == {"env_steps", "updates", "success_any", "success_end"} | CLOCK
        assert 0.0 <= line["success_end"] <= line["success_any"] <= 1.0
        assert line["evaluation_seconds"] > 0.0


# JaxGCRL, a stand-in of its shape ------------------------------------------------------------------------------------

SUCCESS = ((0, 1, 0), (0, 0, 1), (0, 0, 0), (1, 1, 1), (1, 0, 0))  # of five episodes; the last is done after its first
DONE = (0, 0, 0, 0, 1)


@pytest.fixture
def peer(monkeypatch):
    """Modules in JaxGCRL's places; the list gets what its training was given."""
    import jax
    import jax.numpy as jnp
    from brax.envs.base import Env, State
    from brax.envs.wrappers import training

    class Task(Env):
        """Episode i succeeds as SUCCESS[i] says; like JaxGCRL's, it writes into the metrics that it is given."""

        observation_size, action_size, backend = 1, 1, "none"

        def reset(self, rng):
            zero = jnp.zeros(())
            return State(
                {"episode": rng[1], "t": jnp.zeros((), jnp.int32)}, jnp.zeros(1), zero, zero, {"success": zero}
            )

        def step(self, state, action):
            at, physics = (state.pipeline_state["episode"], state.pipeline_state["t"]), state.pipeline_state
            state.metrics.update(success=jnp.asarray(SUCCESS, jnp.float32)[at])
            done = jnp.asarray(DONE, jnp.float32)[at[0]]
            return state.replace(pipeline_state=physics | {"t": at[1] + 1}, done=done)

    class ActorEvaluator:
        def __init__(self, env):
            self._key = jax.random.PRNGKey(0)
            env = training.EvalWrapper(training.VmapWrapper(env))
            keys = jnp.stack([jnp.zeros(5, jnp.uint32), jnp.arange(5, dtype=jnp.uint32)], axis=1)

            @jax.jit
            def unroll():
                state = env.reset(keys)
                state.info["steps"] = jnp.zeros(5)
                step = lambda state, _: (env.step(state, jnp.zeros((5, 1))), None)
                return jax.lax.scan(step, state, length=3)[0]

            self._generate_eval_unroll = lambda training_state, key: unroll()

    seen = []

    class CRL:
        def train_fn(self, config, env, eval_env, progress_fn):
            seen.append(config)
            evaluator = crl.ActorEvaluator(eval_env)
            for i in range(5):
                state = types.SimpleNamespace(gradient_steps=jnp.asarray(10 * i))
                progress_fn(100 * i, evaluator.run_evaluation(state, {"training/sps": 1.0}), None, do_render=True)

    crl = types.SimpleNamespace(ActorEvaluator=ActorEvaluator, CRL=CRL)
    modules = {
        "jaxgcrl.agents.crl.crl": crl,
        "jaxgcrl.utils.config": types.SimpleNamespace(RunConfig=dict),
        "jaxgcrl.utils.env": types.SimpleNamespace(create_env=lambda name: Task()),
    }
    monkeypatch.setattr(importlib, "import_module", lambda name: modules[name])
    return seen


@pytest.mark.seldom  # it imports brax's environments
def test_jaxgcrl_prints_each_evaluation_and_stops_after_the_last(peer):
    """Four of five episodes have a success; three end with one, of which one is done at its first step."""
    lines, settings = [], {"env": "reacher", "num_evals": 2, "seed": 1}
    driver.jaxgcrl(settings, lines.append, driver.Clock())
    assert peer == [settings]
    assert lines[0].keys() == {"imported", "device", "compile_seconds"}
    assert [(line["env_steps"], line["updates"]) for line in lines[1:]] == [(0, 0), (100, 10)]
    assert all((line["success_any"], line["success_end"]) == pytest.approx((0.8, 0.6)) for line in lines[1:])
    assert all(line.keys() > CLOCK for line in lines[1:])
