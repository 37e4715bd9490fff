"""The plan against what is then allocated, and refusals before anything is."""

import jax
import pytest
import tiny

from hindsight_jax import presets, training
from hindsight_jax.runs import config_file, estimate, session

OVERRIDES = tiny.VALUES | {"total_steps": 30, "seeds": 2}
GRID = {"agent.epsilon": (0.1, 0.5, 1.0)}


@pytest.fixture(scope="module")
def made():
    """(values, experiment): a warm-up of 6 steps, then 4 epochs of 6, evaluated after every second."""
    values = config_file.values(config_file.make(tiny.NAME, OVERRIDES))
    return values, presets.build(tiny.NAME, values)


def test_counts_are_those_of_the_run_and_sizes_those_of_its_state(made):
    values, experiment = made
    found = estimate.make(tiny.NAME, values, GRID, experiment)
    assert (found.settings, found.seeds, found.members) == (3, 2, 6)
    assert (found.env_steps, found.epochs, found.updates, found.evaluations) == (30, 4, 8, 2)
    state = jax.eval_shape(training.make_population(experiment.run).init, training.member_keys(0, 6))
    agents = training.num_bytes(state.best.agent)
    assert found.sizes.networks * 6 == 2 * agents  # what learns, and the best so far
    assert found.sizes.state * 6 == training.num_bytes(state.members) + agents
    assert found.copy == found.sizes.state  # what a checkpoint is written from, on a CPU beside the state
    assert found.bytes_of_one == found.sizes.total + found.copy
    assert found.sizes.ring * 6 == training.num_bytes(state.members.replay)
    assert found.sizes.ring == experiment.num_bytes_of_ring
    # two updates of four transitions: goal, observation, achieved goal, and their successors of both: 3 bits each, f32
    floats, others = 5 * 3 + 2, 4 + 4 + 1 + 1  # reward and discount; action and offset, two flags
    assert found.sizes.batches == 2 * 4 * (4 * floats + others)


def test_the_text_holds_the_numbers(made):
    values, experiment = made
    text = estimate.text(estimate.make(tiny.NAME, values, GRID, experiment), GRID)
    lines = text.splitlines()
    assert lines[0].startswith("her_flip_bit: 3 settings x 2 seeds = 6 members; one program on ")
    assert lines[1] == "  agent.epsilon: 0.1, 0.5, 1"
    assert "  env steps                               30           180" in lines
    assert "  updates                                  8            48" in lines
    assert max(map(len, lines)) <= 120
    alone = estimate.text(estimate.make(tiny.NAME, values, {}, experiment), {})
    assert alone.startswith("her_flip_bit: 2 seeds; one program on 1 device")


def test_the_expected_time_is_a_sum(made):
    found = estimate.make(tiny.NAME, made[0], {}, made[1])
    trial = estimate.Trial(working_bytes=5_000_000, compile=10.0, begin=1.0, epoch=2.0, evaluate=3.0)
    assert estimate.seconds(found, trial) == 10 + 1 + 4 * 2 + 2 * 3
    memory_line, time_line, _ = estimate.expected(found, trial)
    assert "5.0 MB on each device" in memory_line
    assert "25s (compile 10s, warm-up 1s, epochs 8s, evaluations 6s)" in time_line


def test_a_trial_measures_and_leaves_nothing(made, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "TRIAL_SECONDS", 0.01)
    trial = estimate.trial(made[0], GRID, made[1])
    assert min(trial) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spare", [0, 10**6, None])
def test_what_fits_passes(made, spare):
    found = estimate.make(tiny.NAME, made[0], {}, made[1])
    needed = 2 * found.bytes_of_one
    estimate.check(found._replace(free=None if spare is None else needed + spare))


def test_what_does_not_fit_is_refused_with_the_numbers_and_how_many_would(made):
    found = estimate.make(tiny.NAME, made[0], GRID, made[1])
    one = found.bytes_of_one
    with pytest.raises(estimate.MemoryRefusal, match=r"replay\.capacity: 6 members need .* 4 members fit: use fewer"):
        estimate.check(found._replace(free=5 * one - 1))
    with pytest.raises(estimate.MemoryRefusal, match=r"are free\. Lower --config\.replay\.capacity, or"):
        estimate.check(found._replace(free=one - 1))


def test_a_run_that_cannot_fit_makes_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "free_memory", lambda: 10**7)
    begin = session.session(config_file.Arguments("hdm_push", config_file.make("hdm_push")), tmp_path / "run", argv=[])
    with pytest.raises(session.SessionError, match=r"^replay\.capacity: 4 members need "), begin:
        pytest.fail("it began")
    assert list(tmp_path.iterdir()) == []


def test_members_that_have_a_device_of_their_own_memory_are_counted_by_device(made, monkeypatch):
    class Device:
        platform, device_kind, process_index = "gpu", "card", 0

        def memory_stats(self):
            return {"bytes_limit": 100}

    monkeypatch.setattr(jax, "devices", lambda: [Device(), Device()])
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(), Device()])
    found = estimate.make(tiny.NAME, made[0], GRID, made[1])
    assert (found.devices, found.kind, found.sharing, found.free, found.copy) == (2, "card", 3, 100, 0)
