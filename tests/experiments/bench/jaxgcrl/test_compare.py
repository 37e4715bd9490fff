"""Runs beside JaxGCRL: their order and flags, what a failure or a time limit leaves, and what is refused before any."""

import json
import os
import sys

import pytest

from experiments.bench.jaxgcrl import compare

# In the driver's place: JaxGCRL's evaluations, then ours; a seed of 7 fails after one, JaxGCRL's seed of 8 never ends.
FAKE = """
import json, sys, time
library, text = sys.argv[1:]
say = lambda line: print(json.dumps(line), flush=True)
if text == "FOUND":
    say({"is_there": True, "versions": {"jax": "0.0"}, "commit": "c" * 40})
    sys.exit()
settings = json.loads(text)
say({"imported": {"jax": library}, "device": "cpu", "compile_seconds": 0.0})
for i, success in enumerate((0.5, 0.95) if library == "jaxgcrl" else (0.9, 1.0)):
    if i and settings["seed"] == 7:
        sys.exit("out of memory")
    if i and settings["seed"] == 8 and library == "jaxgcrl":
        time.sleep(600)
    say({"env_steps": 1000 * (i + 1), "updates": 10 * i, "success_any": success, "success_end": 0.1,
         "compile_seconds": 0.0, "evaluation_seconds": 0.0, "extra": 1})
"""
FOUND = (sys.executable, None, ["her_flip_bit"], 500_000, [0], 60.0)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A task that needs no physics has JaxGCRL's reacher beside it, and the driver is the fake."""
    path = tmp_path / "driver.py"
    path.write_text(FAKE)
    monkeypatch.setattr(compare, "DRIVER", path)
    monkeypatch.setitem(compare.TASKS, "flip_bit", compare.TASKS["brax_reacher"])


def measured(seeds, minutes=60.0):
    """All figures, those that were published, and what was reported."""
    published, reported = [], []
    peer = compare.find(*FOUND[:4], seeds, minutes)
    publish = lambda figures: published.append(json.loads(json.dumps(figures)))
    found = compare.measure(peer, publish, lambda name, figures: reported.append((name, figures)))
    return found, published, reported


def test_both_sides_are_run_and_their_curves_kept():
    found, published, reported = measured([0])
    assert found["peer"]["versions"] == {"jax": "0.0"}
    assert found["peer"]["commit"] == "c" * 40
    theirs, ours = (found["runs"][f"flip_bit: {name}, seed 0"] for name in ("JaxGCRL's CRL", "her_flip_bit"))
    assert (theirs["library"], ours["library"]) == ("jaxgcrl", "hindsight_jax")
    assert (theirs["versions"]["jax"], ours["versions"]["jax"]) == ("jaxgcrl", "hindsight_jax")
    assert theirs["curve"]["success_any"] == [0.5, 0.95]
    assert ours["curve"].keys() == set(compare.COLUMNS)
    assert ours["curve"]["env_steps"] == [1000, 2000]
    assert 0.0 < ours["start_seconds"] <= ours["curve"]["seconds"][0] <= ours["curve"]["seconds"][1]
    assert [name for name, _ in reported] == list(found["runs"])
    assert published[-1] == found
    counts = [len(run["curve"]["seconds"]) for run in (list(figures["runs"].values())[-1] for figures in published)]
    assert {0, 1, 2} == set(counts)


def test_a_run_that_fails_keeps_what_it_had_and_the_next_begins(capsys):
    found, _, _ = measured([7, 0])
    failed, after = (found["runs"][f"flip_bit: JaxGCRL's CRL, seed {seed}"] for seed in (7, 0))
    assert failed["curve"]["success_any"] == [0.5]
    assert failed["error"] == "RuntimeError: JaxGCRL's CRL ended with 1: out of memory"
    assert after["curve"]["success_any"] == [0.5, 0.95]
    assert "out of memory" in capsys.readouterr().err


@pytest.mark.seldom
def test_a_run_is_killed_at_its_time_limit_and_keeps_what_it_had():
    found, _, reported = measured([8], minutes=0.1)
    stopped, after = found["runs"].values()
    assert stopped["stopped"] == dict(reported)["flip_bit: JaxGCRL's CRL, seed 8"]["stopped"] == "time limit of 6 s"
    assert len(stopped["curve"]["seconds"]) == 1
    assert stopped["section_seconds"] < 60.0
    assert len(after["curve"]["seconds"]) == 2


def test_of_each_task_theirs_come_first_and_ours_have_an_empty_cache_each(monkeypatch, tmp_path):
    """Seeds are the outer loop; JaxGCRL has its flags, and ours the horizon, spacing and number of its episodes."""
    monkeypatch.setitem(compare.TASKS, "navigation", compare.TASKS["brax_ant"])
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "warm")
    configs = ["her_flip_bit", "hem_navigation", "hem_flip_bit"]
    peer = compare.Peer("python9", tmp_path, configs, 2_500_000, (4,), 60.0, {}, None)
    runs = compare.runs(peer, 4, tmp_path)
    assert [run.name for run in runs] == ["JaxGCRL's CRL", *configs[::2], "JaxGCRL's CRL", configs[1]]
    theirs, ours = runs[:2]
    assert theirs.command[0] == "python9"
    assert theirs.settings == {
        "env": "reacher", "num_envs": 64, "episode_length": 101, "total_env_steps": 2_500_000, "num_evals": 102,
        "num_eval_envs": 256, "seed": 4,
    }  # fmt: skip
    overrides = {"total_steps": 2_500_000, "env.horizon": 101, "evaluation.every": 25_000, "evaluation.episodes": 256}
    assert ours.settings == {"name": "her_flip_bit", "overrides": overrides, "seed": 4}
    assert (ours.command[0], json.loads(ours.command[-1])) == (sys.executable, ours.settings)
    assert not any("XLA_FLAGS" in run.environment for run in runs)
    assert "JAX_COMPILATION_CACHE_DIR" not in theirs.environment
    assert len({run.environment["JAX_COMPILATION_CACHE_DIR"] for run in runs if run.library != "jaxgcrl"}) == 3
    assert (theirs.environment["PYTHONPATH"], theirs.environment["WANDB_MODE"]) == (str(tmp_path), "disabled")
    assert ours.environment["PYTHONPATH"] == str(compare.ROOT)
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_multi_thread_eigen=false"


@pytest.mark.parametrize("name", ["brax_reacher", "brax_ant"])
def test_flags_are_those_that_jaxgcrl_takes(name):
    """A multiple of its batch of 256; evaluations after whole unrolls of 62 steps, which fill its steps after warm-up.

    reacher at 2.5e6: 25,000 // 3,968 = 6 unrolls each, (2,500,000 - 64,000) // (6 x 3,968) = 102 evaluations.
    """
    task = compare.TASKS[name]
    assert (task.episode_length - 1) * task.num_envs % 256 == 0
    for steps in (task.warmup + task.every, 700_000, 2_500_000):
        unroll, evaluations = 62 * task.num_envs, task.num_evals(steps)
        unrolls = (steps - task.warmup) // (evaluations * unroll)  # of each evaluation, as it computes them
        assert unrolls >= 1
        assert unrolls * unroll <= task.every or evaluations == 1
    assert compare.TASKS["brax_reacher"].num_evals(2_500_000) == 102


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, "no/such/python", r"^--peer-python: got no/such/python, but it must start \(No such file"),
        (1, compare.ROOT / "docs", "^--peer-dir: got .*docs, but it must hold the package jaxgcrl"),
        (2, ["her_flop_bit"], "there is no such name. Did you mean her_flip_bit"),
        (2, ["her_flip_bit", "hdm_push"], "^--peer-configs: got hdm_push, but its task must be one of brax_reacher"),
        (3, 88_999, "^--peer-steps: got 88999, .*89000"),  # 64 x 1,000 of warm-up, and 25,000 to an evaluation
        (4, [0, -1], "^--peer-seeds: got -1"),
        (5, 0.0, "^--peer-minutes: got 0"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_trained(place, value, said):
    arguments = [*FOUND]
    arguments[place] = value
    with pytest.raises(ValueError, match=said):
        compare.find(*arguments)


@pytest.mark.parametrize("answer", ["print('{\"is_there\": false}')", "raise SystemExit('broken')"])
def test_a_python_without_jaxgcrl_is_refused_with_the_remedy(answer):
    compare.DRIVER.write_text(answer)
    with pytest.raises(ValueError, match=r"^--peer-python: got .* must be able to import jaxgcrl\. Install it there"):
        compare.find(*FOUND)


def test_a_curve_is_summed_up():
    """0.9 is reached at the second evaluation, after 20 s, of which 8 compiled, 2 evaluated and 3 imported."""
    curve = {name: [1.0, 2.0] for name in compare.COLUMNS}
    curve |= {"success_any": [0.5, 0.9], "success_end": [0.1, 0.2], "env_steps": [100, 200], "seconds": [15.0, 20.0]}
    curve |= {"compile_seconds": [8.0, 8.0], "evaluation_seconds": [1.0, 2.0]}
    found = compare.summary({"curve": curve, "start_seconds": 3.0, "error": "RuntimeError: x"})
    for when in ("first", "from there on"):
        reached = f"success_any >= 0.9, {when}"
        assert found[f"{reached}: env steps"] == 200
        seconds = [found[f"{reached}: seconds, {kind}"] for kind in ("all", "without compilation", "training")]
        assert seconds == [20.0, 12.0, 7.0]
        assert found[f"success_end >= 0.9, {when}: env steps"] is None
    assert (found["last: success_end"], found["error"]) == (0.2, "RuntimeError: x")
