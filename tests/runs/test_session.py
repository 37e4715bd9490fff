"""A session in this process: each kind of agent, a seed that breaks and harms no other, a grid, refusals."""

import contextlib
import functools
import io
import json
import math
import signal

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest

import hindsight_jax
from experiments.reproduce import collect
from hindsight_jax import presets, training
from hindsight_jax.checkpoints import files
from hindsight_jax.runs import config_file, records, refusals, session, video
from hindsight_jax.runs import summary as run_summary
from hindsight_jax.runs.progress import Progress
from hindsight_jax.runs.signals import GracefulExit
from hindsight_jax.runs.workdir import WorkDir

SEEDS = 4  # as many members as the grid has, so that both run the same programs
OVERRIDES = {
    "seed": 7,
    "seeds": SEEDS,
    "total_steps": 40,  # a warm-up of 2 trajectories and 6 epochs of 1, 5 steps each
    "env.horizon": 5,
    "env.num_envs": 1,
    "replay.warmup": 2,
    "evaluation.every": 10,
    "evaluation.episodes": 8,
    "checkpoint.seconds": 1e9,
}


@pytest.fixture(scope="module", autouse=True)
def record_video():
    """The true one. All videos but one of each kind of agent are blank: a true one compiles anew."""
    true = video.record_video
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "record_video", lambda *arguments: np.zeros((1, 8, 8, 3), np.uint8))
        yield true


def started(path, experiment, population=None, **overrides):
    """A session with its first state; one population serves several, compiled once."""
    config = config_file.resolve("hdm_push", OVERRIDES | overrides)
    run = session.Session("hdm_push", config, WorkDir.create(path), experiment)
    run.population = population or run.population
    run.start([])
    return run


def advanced(run, *targets):
    """Trained to each of these epochs, with an evaluation at the even ones."""
    with Progress(40, name="hdm_push", stream=io.StringIO()) as progress:
        for target in targets:
            run.advance(target, progress, GracefulExit())
            if target % 2 == 0:
                run.evaluate(progress)


def poison(run, member):
    """One weight of one member becomes NaN."""
    leaves, structure = jax.tree.flatten(run.state.members.agent.params)
    leaves[0] = leaves[0].at[(member,) + (0,) * (leaves[0].ndim - 1)].set(jnp.nan)
    params = jax.tree.unflatten(structure, leaves)
    members = run.state.members._replace(agent=run.state.members.agent._replace(params=params))
    run.state = run.state._replace(members=members)


@pytest.fixture(scope="module")
def healthy(experiment, tmp_path_factory):
    """Trained to the end in the same pieces, without a summary."""
    run = started(tmp_path_factory.mktemp("healthy") / "run", experiment)
    advanced(run, 2, 3, 4, 6)
    return run


@pytest.fixture(scope="module")
def poisoned(healthy, experiment, tmp_path_factory):
    """(session, output): member 1 breaks at epoch 3, between the evaluations at 2 and 4."""
    run = started(tmp_path_factory.mktemp("poisoned") / "run", experiment, healthy.population)
    advanced(run, 2, 3)
    poison(run, 1)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert run.train(GracefulExit()) == 0
    return run, output.getvalue()


def of_member(run, member):
    return [records.without_clock(row) for row in run.workdir.read_records() if row["member"] == member]


def test_the_broken_seed_is_named_once_at_the_next_evaluation_with_a_remedy(poisoned):
    run, output = poisoned
    warnings = [line for line in output.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: member 1 (seed 8) at 30 env steps is frozen: agent.params.")
    assert warnings[0].endswith(
        " was not finite at update 6. Other members go on, untouched. Try a smaller learning rate."
    )
    assert run.warned == {1}


def test_its_rows_are_finite_before_and_no_success_after(poisoned):
    before, *after = of_member(poisoned[0], 1)
    assert math.isfinite(before["td_loss"])
    assert 0.0 <= before["success_end"] <= 1.0
    assert [row["env_steps"] for row in after] == [30, 40]
    for row in after:
        assert all(math.isnan(row[key]) for key in ("td_loss", "q_mean", "success_end", "success_any")), row
        assert (row["frozen"], row["updates"]) == (1, 6)


def test_the_other_seeds_are_the_same_to_the_bit(healthy, poisoned):
    run, _ = poisoned
    for member in (0, 2, 3):
        np.testing.assert_equal(of_member(run, member), of_member(healthy, member))  # NaN equals NaN
        pairs = zip(jax.tree.leaves(run.state.members), jax.tree.leaves(healthy.state.members), strict=True)
        for left, right in pairs:
            if jnp.issubdtype(left.dtype, jax.dtypes.prng_key):
                left, right = jax.random.key_data(left), jax.random.key_data(right)
            np.testing.assert_array_equal(left[member], right[member], strict=True)
    assert any(bool(jnp.any(jnp.isnan(leaf[1]))) for leaf in jax.tree.leaves(run.state.members.agent.params))


def test_the_summary_lists_it_and_keeps_the_best_before_it(poisoned):
    run, _ = poisoned
    summary = json.loads((run.workdir.path / "summary.json").read_text())
    assert summary["seeds"] == [7, 8, 9, 10]
    assert summary["failed_seeds"] == [8]
    assert summary["success_end"]["mean"] == "NaN"
    assert summary["success_end"]["per_seed"][1] == "NaN"
    assert summary["best"]["env_steps"][1] == 20
    assert summary["num_episodes"] == 8


def test_the_video_is_of_the_median_finite_seed(poisoned):
    """NaN acts too, an argmax of NaN is action 0, and here it might even succeed."""
    run, _ = poisoned
    last = {member: of_member(run, member)[-1]["success_end"] for member in (0, 2, 3)}
    assert run.workdir.read_summary()["policy_seed"] == 7 + sorted(last, key=lambda member: (last[member], member))[1]
    assert (run.workdir.path / "policy.gif").stat().st_size > 0


def ended(run):
    """(exit code, output) of the rest of a run."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = run.train(GracefulExit())
    return code, output.getvalue()


def test_a_run_that_shall_halt_saves_and_goes_on_with_freeze_to_the_same_numbers(
    healthy, poisoned, experiment, tmp_path
):
    halting = started(tmp_path / "run", experiment, healthy.population, on_nan="halt")
    advanced(halting, 2, 3)
    poison(halting, 1)
    code, output = ended(halting)
    assert code == 1
    assert "error: hdm_push: halted by 1 frozen member(s), and saved. --resume with --config.on_nan=freeze" in output
    assert [row["env_steps"] for row in of_member(halting, 0)] == [20, 30]
    assert halting.workdir.read_summary()["interrupted"] is True
    config = config_file.resolve("hdm_push", OVERRIDES | {"on_nan": "freeze"})
    again = session.Session("hdm_push", config, WorkDir.open(tmp_path / "run"), experiment)
    again.population = healthy.population
    again.resume([])
    code, output = ended(again)
    assert code == 0
    assert "member 1 (seed 8) at 40 env steps is frozen: agent.params." in output
    for member in range(SEEDS):
        np.testing.assert_equal(of_member(again, member), of_member(poisoned[0], member))


def test_a_task_without_a_picture_leaves_all_but_the_gif_says_so_and_resumes(healthy, experiment, tmp_path):
    plain = experiment._replace(env=probes.Undrawn(horizon=5))
    run = started(tmp_path / "run", plain, healthy.population)
    advanced(run, 2)
    run.save_and_wait()
    for _ in range(2):  # to its end, and once more when it is there
        again = session.Session("hdm_push", run.config, WorkDir.open(tmp_path / "run"), plain)
        again.population = healthy.population
        again.resume([])
        code, output = ended(again)
        assert code == 0
        assert output.splitlines()[-1] == "hdm_push: no policy.gif, since Undrawn has no bodies() and camera()"
        assert {entry.name for entry in (tmp_path / "run").iterdir()} == {
            "config.json", "metrics.jsonl", "tensorboard", "curves.png", "checkpoints", "summary.json",
            "report.html",
        }  # fmt: skip
        assert "policy_seed" not in again.workdir.read_summary()
        np.testing.assert_equal(of_member(again, 0), of_member(healthy, 0))


def test_a_run_of_which_no_member_is_left_halts(healthy, experiment, tmp_path):
    run = started(tmp_path / "run", experiment, healthy.population)
    advanced(run, 1)
    for member in range(SEEDS):
        poison(run, member)
    code, output = ended(run)
    assert code == 1
    assert "halted by 4 frozen member(s), and saved. No member is left to train: start anew" in output
    assert run.workdir.read_summary()["failed_seeds"] == [7, 8, 9, 10]


def test_a_checkpoint_that_cannot_be_written_ends_training_at_the_next_step(healthy, experiment, tmp_path, monkeypatch):
    """Not at the run's end."""
    run = started(tmp_path / "run", experiment, healthy.population, **{"checkpoint.seconds": 0.0})
    advanced(run, 2)
    run.checkpoints.wait()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_manifest", full)
    run.save()
    with pytest.raises(OSError, match="No space left on device: the checkpoint of step 2 was not saved"):
        run.train(GracefulExit())
    assert int(run.state.epochs) < 6
    assert run.checkpoints.latest_step() == 0


def test_a_run_without_a_bad_seed_warns_of_nothing(healthy):
    assert healthy.warned == set()
    assert [row["env_steps"] for row in of_member(healthy, 0)] == [20, 30, 40]
    assert [row["updates"] for row in of_member(healthy, 0)] == [4, 8, 12]
    assert set(healthy.seconds) == {"train", "evaluate", "checkpoint"}


# A grid

GRID = {"agent.epsilon": (0.1, 0.9), "agent.gamma": (0.5,)}


@pytest.fixture(scope="module")
def grid(healthy, experiment, tmp_path_factory):
    """Two settings of two seeds, trained to the end."""
    path = tmp_path_factory.mktemp("grid") / "run"
    config = config_file.resolve("hdm_push", OVERRIDES | {"seeds": 2})
    run = session.Session("hdm_push", config, WorkDir.create(path), experiment, GRID)
    run.population = healthy.population
    run.start([])
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert run.train(GracefulExit()) == 0
    return run, output.getvalue()


def test_rows_of_a_grid_name_their_setting_and_seeds_repeat(grid):
    run, output = grid
    table = run.workdir.read_records()
    assert "hdm_push: 2 settings x 2 seeds x 40 env steps" in output
    assert len(table) == 3 * 4
    assert [row["seed"] for row in table[:4]] == [7, 8] * 2
    found = [(row["agent.epsilon"], row["agent.gamma"]) for row in table[:4:2]]
    assert found == [(0.1, 0.5), (0.9, 0.5)]
    assert "agent.epsilon" not in run_summary.diagnostics(table)
    assert len({row["q_mean"] for row in table[-4:]}) == 4
    assert run.workdir.read_config()["grid"] == {"agent.epsilon": [0.1, 0.9], "agent.gamma": [0.5]}


def test_a_setting_has_the_numbers_of_a_run_of_its_own(healthy, grid):
    """The population's first two members have the setting's seeds."""
    values = {"agent.epsilon": jnp.full(SEEDS, 0.9), "agent.gamma": jnp.full(SEEDS, 0.5)}
    population, keys = healthy.population, training.member_keys(7, SEEDS)
    state = population.advance(population.init(keys, values), 2)
    wanted = population.evaluate(state, keys) | training.pop_metrics(state)[1]
    mine = grid[0].workdir.read_records()[2:4]
    for metric in ("success_end", "distance_end", "q_mean", "td_loss"):
        np.testing.assert_allclose(
            [row[metric] for row in mine], wanted[metric][:2], rtol=1e-4, atol=1e-5, err_msg=metric
        )


def test_the_summary_of_a_grid_has_each_setting_and_names_the_best(grid):
    summary = grid[0].workdir.read_summary()
    assert [one["setting"]["agent.epsilon"] for one in summary["settings"]] == [0.1, 0.9]
    means = [one["success_end"]["mean"] for one in summary["settings"]]
    assert summary["best_setting"] == summary["settings"][int(np.argmax(means))]["setting"]
    assert summary["policy_setting"] in [one["setting"] for one in summary["settings"]]
    assert summary["policy_seed"] in (7, 8)
    assert summary["env_steps"] == 40


def test_a_grid_goes_on_with_its_settings_and_refuses_others(grid, experiment):
    run, _ = grid
    config = config_file.resolve("hdm_push", OVERRIDES | {"seeds": 2})
    for other, message in ((GRID, None), (GRID | {"agent.gamma": (0.8,)}, r"grid: agent\.gamma: .*0\.8")):
        again = session.Session("hdm_push", config, WorkDir.open(run.workdir.path), experiment, other)
        if message:
            with pytest.raises(ValueError, match=message):
                again.resume([])
            continue
        again.resume([])
        for field in ("gamma", "epsilon"):
            kept, held = (getattr(one.state.members.agent.hparams, field) for one in (run, again))
            np.testing.assert_array_equal(held, kept)


# Every kind of agent, on tasks of a few numbers; Q-learning on push is tested with the command line

TINY = {
    "seeds": 2,
    "env.num_envs": 2,
    "agent.hidden_sizes": (4,),
    "agent.batch_size": 4,
    "agent.updates_per_epoch": 2,
    "agent.num_goals": 2,
    "agent.group_size": 1,
    "replay.capacity": 8,
    "replay.warmup": 2,
    "evaluation.episodes": 4,
    "checkpoint.seconds": 1e9,
}
BITS = {"env.size": 3, "total_steps": 27, "evaluation.every": 6}  # epochs of 6 steps, behind a warm-up of 0 or 6
LINE = {"env.size": 1, "env.horizon": 3, "total_steps": 27, "evaluation.every": 6}
SEEN = LINE | {"env.size": 2, "env.pixels": 36, "env.frames": 2, "env.goals": "image"}
KINDS = {
    "hpg_flip_bit": (BITS, 5, {"loss", "return_mean", "hit_fraction", "entropy", "effective_sample_share"}),
    "hem_flip_bit": (BITS, 4, {"loss", "entropy"}),
    "her_ddpg_navigation": (LINE, 4, {"loss", "td_loss", "actor_loss", "q_mean", "reward_mean"}),
    "hem_navigation": (SEEN, 4, {"loss", "entropy"}),  # from images
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.seldom] if i else []) for i, name in enumerate(KINDS)],
)
def kind(request, record_video):
    """(name, config), with one population and small pictures for all sessions of the name."""
    name = request.param
    overrides = {field: value for field, value in TINY.items() if field in presets.fields_of(name)}
    config = config_file.resolve(name, overrides | KINDS[name][0])
    experiment = presets.build(name, config)
    population = training.make_population(experiment.run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "build", lambda name, config, **_: experiment)
        patch.setattr(training, "make_population", lambda run, devices=None: population)
        patch.setattr(video, "SIZE", 24)
        patch.setattr(video, "record_video", record_video)
        yield name, config


@pytest.fixture(scope="module")
def done(kind, tmp_path_factory):
    """The session of a run that was never stopped."""
    name, config = kind
    path = tmp_path_factory.mktemp("kind") / "run"
    with session.session(name, config, {}, path) as run:
        assert run.train(GracefulExit()) == 0
    return run


def test_a_run_of_each_kind_leaves_rows_plots_a_gif_a_checkpoint_and_a_summary(kind, done):
    name, _ = kind
    _, num_epochs, diagnostics = KINDS[name]
    path, table = done.workdir.path, done.workdir.read_records()
    left = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    assert left == {
        "config.json", "metrics.jsonl", "tensorboard", "curves.png", "policy.gif", "checkpoints", "summary.json",
        "report.html",
    }  # fmt: skip
    updates = 1 if "replay.warmup" not in done.config else 2
    assert int(done.state.epochs) == num_epochs
    assert [row["updates"] for row in table] == [n * updates for n in range(1, num_epochs + 1) for _ in range(2)]
    assert [row["env_steps"] for row in table[-2:]] == [30, 30]  # a started epoch is finished
    assert all(diagnostics <= set(row) and all(map(math.isfinite, row.values())) for row in table)
    assert all(0.0 <= row["success_end"] <= row["success_any"] <= 1.0 for row in table)
    assert done.workdir.read_summary()["env_steps"] == 30
    assert done.warned == set()


def test_policies_of_each_kind_are_loaded(done):
    """They act on what the environment shows, as the agents of the run's end do."""
    loaded = hindsight_jax.load(done.workdir.path, which="last")
    obs = jax.jit(loaded.setup.env.reset)(jax.random.key(0)).obs
    given = (obs["observation"], obs.get("goal_image", obs["desired_goal"]), jax.random.key(1))
    for member in range(2):
        agent = jax.tree.map(lambda leaf: leaf[member], done.state.members.agent)  # noqa: B023
        action = jax.jit(loaded.policy(member))(*given)
        assert action.shape == (loaded.setup.env.spec.action.num_dims,)
        np.testing.assert_array_equal(
            action, jax.jit(functools.partial(done.setup.agent.act, agent, explore=False))(*given)
        )


def test_results_hold_q_where_values_are_learnt(kind, done):
    digest = collect.digests("run", done.workdir)["run"]
    assert ("q_mean" in digest) == (kind[0] == "her_ddpg_navigation")
    assert np.shape(digest["success_end"]) == (2, KINDS[kind[0]][1])
    assert f"| {kind[0]} | 2 | 30 | " in collect.table({kind[0]: digest})


def test_a_stopped_run_of_each_kind_goes_on_to_the_same_numbers(kind, done, tmp_path, monkeypatch):
    """Stopped after the second evaluation, and taken up again as the command line would."""
    name, config = kind
    path, interrupt = tmp_path / "run", GracefulExit()
    with session.session(name, config, {}, path) as run:
        evaluate, seen = run.evaluate, []

        def stop_after_two(progress):
            evaluate(progress)
            seen.append(progress)
            interrupt.signal = signal.SIGTERM if len(seen) == 2 else None

        monkeypatch.setattr(run, "evaluate", stop_after_two)
        assert run.train(interrupt) == 143
    assert len(run.workdir.read_records()) == 4
    monkeypatch.setattr(video, "record_video", lambda *arguments: np.zeros((1, 8, 8, 3), np.uint8))
    with session.session(name, config, {}, path, resume=True) as run:
        assert run.first_env_steps == min(row["env_steps"] for row in run.workdir.read_records()[-2:])
        assert run.train(GracefulExit()) == 0
    assert [records.without_clock(row) for row in run.workdir.read_records()] == [
        records.without_clock(row) for row in done.workdir.read_records()
    ]
    for left, right in zip(jax.tree.leaves(run.state), jax.tree.leaves(done.state), strict=True):
        if jnp.issubdtype(left.dtype, jax.dtypes.prng_key):
            left, right = jax.random.key_data(left), jax.random.key_data(right)
        np.testing.assert_array_equal(left, right, strict=True)


# Refusals


def test_a_used_directory_is_refused_by_name(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    refused = session.session("hdm_push", config_file.resolve("hdm_push"), {}, tmp_path)
    with pytest.raises(refusals.SessionError, match=r"holds notes\.txt already"), refused:
        pytest.fail("it started")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_device_is_refused_with_a_remedy_and_other_errors_of_jax_are_bugs():
    with (
        pytest.raises(refusals.SessionError, match=r"device's memory is full \(RESOURCE_EXHAUSTED.* Use fewer seeds"),
        refusals.refusals(),
    ):
        jnp.zeros(10**14)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), refusals.refusals():
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")
