"""A run whose task is stepped on the host leaves what other runs leave, and resumes bit for bit."""

import json

import jax
import numpy as np
import pytest
import registering
from chain_runs import assert_same_bits
from host_line import HostLine

from hindsight_jax import presets
from hindsight_jax.runs import config_file, estimate, evaluation, load, records, session, video
from hindsight_jax.runs.processes import Processes
from hindsight_jax.runs.refusals import SessionError
from hindsight_jax.runs.signals import GracefulExit
from hindsight_jax.training import host

NAME = "her_host_line"
VALUES = {
    "seeds": 2,
    "total_steps": 24,  # a warm-up of 8 steps, and 2 epochs of 8
    "env.num_envs": 2,
    "evaluation.episodes": 6,
    "evaluation.every": 8,
    "agent.hidden_sizes": (8,),
    "agent.batch_size": 4,
    "agent.updates_per_epoch": 2,
    "replay.warmup": 2,
    "replay.capacity": 10,
}


@pytest.fixture(scope="module", autouse=True)
def registered():
    with registering.tables_restored():
        presets.register_environment("host_line", HostLine, help="a walker on a line")
        yield


def trained(path, resume=False, **changes):
    """The session, trained to its end."""
    config = config_file.resolve(NAME, VALUES | changes)
    with session.session(NAME, config, {}, path, resume=resume) as run:
        assert run.train(GracefulExit()) == 0
    return run


@pytest.fixture(scope="module")
def setup():
    return presets.build(NAME, config_file.resolve(NAME, VALUES))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole") / "run", total_steps=40)


@pytest.mark.seldom  # compiles a run
def test_it_leaves_records_curves_a_summary_and_its_own_pictures(whole):
    left = {path.name for path in whole.workdir.path.iterdir()}
    assert {"metrics.jsonl", "curves.png", "summary.json", "checkpoints", "policy.gif", "config.json"} <= left
    assert [record["env_steps"] for record in whole.workdir.read_records()] == [16, 16, 24, 24, 32, 32, 40, 40]
    assert json.loads((whole.workdir.path / "summary.json").read_text())["seeds"] == [0, 1]


@pytest.mark.seldom  # compiles two
def test_a_run_that_stopped_and_resumes_is_one_that_never_stopped(whole, tmp_path):
    trained(tmp_path / "run")
    resumed = trained(tmp_path / "run", resume=True, total_steps=40)
    assert_same_bits(resumed.state, whole.state)
    rows = lambda run: [records.without_clock(record) for record in run.workdir.read_records()]
    assert rows(resumed) == rows(whole)


@pytest.mark.seldom  # another process's compiles
def test_its_policy_is_a_function_again(whole):
    policy = load.load(whole.workdir.path).policy(member=1)
    seen = HostLine().play(
        lambda t, observation, goal: np.stack(
            [policy(o, g, jax.random.key(0)) for o, g in zip(observation, goal, strict=True)]
        ),
        np.arange(2),
    )
    assert set(seen.action.ravel().tolist()) <= {0, 1, 2}


@pytest.mark.seldom  # another process's compiles
def test_a_fresh_evaluation_plays_every_member_on_the_host(whole):
    saved = load.load(whole.workdir.path)
    found = evaluation.evaluate(saved, episodes=10, seed=1)
    np.testing.assert_array_equal(found, evaluation.evaluate(saved, episodes=10, seed=1))
    assert found.success_end.shape == (2,)
    np.testing.assert_allclose(found.success_end * 10, np.round(found.success_end * 10), atol=1e-9)
    with pytest.raises(ValueError, match=r"^goal: got .*, but HostLine is stepped on the host, and draws its goals"):
        evaluation.evaluate(saved, goal=[0.0])


def test_the_video_shows_the_pictures_and_success_and_stands_still_after_the_end():
    """A walker towards the goal gets there; the picture of time t has the grey 30 t, until the episode is over."""
    task = HostLine(horizon=6)
    toward = lambda observation, goal, key: (np.sign(1) + jax.numpy.sign(goal - observation[:1])).astype(np.int32)
    frames = video.record_video(task, toward, jax.random.key(5))
    played = host.play(
        task,
        jax.jit(lambda t, observation, goal, keys: jax.vmap(toward)(observation, goal, keys)),
        jax.random.split(jax.random.key(5), video.VIEWS),
    )
    assert np.all(played.success.any(axis=1))
    assert len(set(played.length.tolist())) > 1
    step = video.SIZE + 2
    for n, length in enumerate(played.length):
        row, column = divmod(n, video.COLUMNS)
        tile = frames[:, row * step :, column * step :][:, : video.SIZE, : video.SIZE]
        grey = [30 * min(t, length) for t in range(7)]
        assert tile[:, 72, 72, 0].tolist() == grey
        green = tile[:, 0, 0, 1] > tile[:, 0, 0, 0] + np.int32(50)
        assert green.tolist() == [bool(t >= length) for t in range(7)]
    assert video.why_no_picture(task) is None


def test_why_there_is_no_picture():
    class Blind(HostLine):
        renders = False

    assert video.why_no_picture(Blind()) == 'Blind was not made with render_mode="rgb_array"'


def test_the_estimate_says_what_it_cannot_know(setup):
    config = config_file.resolve(NAME, VALUES)
    found = estimate.estimate_run(NAME, config, {}, setup)
    assert (found.devices, found.chunk, found.on_host) == (1, 1, True)
    lines = estimate.size_lines(found, {})
    assert "  members collect and evaluate one after another, on the host, and learn one at a time" in lines
    trial = estimate.Trial(working_bytes=None, compile=1.0, init=1.0, epoch=1.0, evaluate=1.0)
    memory_line, *_ = estimate.time_lines(found, trial)
    assert "activations among it: not known, since the task is stepped on the host" in memory_line


@pytest.mark.seldom  # compiles
def test_a_trial_measures_it(setup, monkeypatch):
    monkeypatch.setattr(estimate, "TRIAL_SECONDS", 0.01)
    trial = estimate.run_trial(config_file.resolve(NAME, VALUES), {}, setup)
    assert trial.working_bytes is None
    assert min(trial[1:]) > 0


def test_several_processes_are_refused_before_a_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    config = config_file.resolve(NAME, VALUES)
    with (
        pytest.raises(SessionError, match=r"processes: got 2, but the members of HostLine.*by one process"),
        session.session(NAME, config, {}, tmp_path / "run", processes=Processes()),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
