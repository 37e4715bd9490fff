"""The estimate against the arrays that are then allocated, and refusals before any is."""

import jax
import pytest
import tiny

from hindsight_jax import presets, training
from hindsight_jax.runs import config_file, estimate, refusals, session

OVERRIDES = tiny.VALUES | {"total_steps": 36, "seeds": 2}
GRID = {"agent.epsilon": (0.1, 0.5, 1.0)}


@pytest.fixture(scope="module")
def setup():
    """(values, experiment): a warm-up of 6 steps, then 5 epochs of 6, evaluated after every second and the last."""
    values = config_file.resolve(tiny.NAME, OVERRIDES)
    return values, presets.build(tiny.NAME, values)


def test_counts_are_those_of_the_run_and_sizes_those_of_its_state(setup):
    values, experiment = setup
    found = estimate.estimate_run(tiny.NAME, values, GRID, experiment)
    assert (found.settings, found.seeds, found.members) == (3, 2, 6)
    assert (found.env_steps, found.epochs, found.updates, found.evaluations) == (36, 5, 10, 3)
    state = jax.eval_shape(training.make_population(experiment.run).init, training.member_keys(0, 6))
    agents = training.num_bytes(state.best.agent)
    assert found.memory.networks * 6 == 2 * agents  # what learns, and the best so far
    assert found.memory.state * 6 == training.num_bytes(state.members) + agents
    assert found.copy == found.memory.state  # what a checkpoint is written from, on a CPU beside the state
    assert found.bytes_per_member == found.memory.total + found.copy
    assert found.memory.ring * 6 == training.num_bytes(state.members.replay)
    assert found.memory.ring == experiment.num_bytes_of_ring
    # two updates of four transitions: goal, observation, achieved goal, and their successors of both: 3 bits each, f32
    floats, others = 5 * 3 + 3, 4 + 4 + 1 + 1  # two rewards and discount; action and offset, two flags
    assert found.memory.batches == 2 * 4 * (4 * floats + others)


def test_the_text_holds_the_numbers(setup):
    values, experiment = setup
    lines = estimate.size_lines(estimate.estimate_run(tiny.NAME, values, GRID, experiment), GRID)
    assert lines[0].startswith("her_flip_bit: 3 settings x 2 seeds = 6 members; one program on ")
    assert lines[1] == "  agent.epsilon: 0.1, 0.5, 1"
    assert "  env steps                               36           216" in lines
    assert "  updates                                 10            60" in lines
    assert max(map(len, lines)) <= 120
    alone, *_ = estimate.size_lines(estimate.estimate_run(tiny.NAME, values, {}, experiment), {})
    assert alone.startswith("her_flip_bit: 2 seeds; one program on 1 device")


def test_the_expected_time_is_a_sum(setup):
    found = estimate.estimate_run(tiny.NAME, setup[0], {}, setup[1])
    trial = estimate.Trial(working_bytes=5_000_000, compile=10.0, init=1.0, epoch=2.0, evaluate=3.0)
    assert estimate.total_seconds(found, trial) == 10 + 1 + 5 * 2 + 3 * 3
    memory_line, time_line, _ = estimate.time_lines(found, trial)
    assert "5.0 MB on each device" in memory_line
    assert "30s (compile 10s, warm-up 1s, epochs 10s, evaluations 9s)" in time_line


def test_an_agent_whose_operations_are_not_counted_has_all_other_lines(setup):
    whole = estimate.size_lines(estimate.estimate_run(tiny.NAME, setup[0], GRID, setup[1]), GRID)
    without = estimate.estimate_run(tiny.NAME, setup[0], GRID, setup[1]._replace(flops_per_update=None))
    assert without.flop_per_update is None
    assert estimate.size_lines(without, GRID) == [line for line in whole if "useful operations" not in line]
    trial = estimate.Trial(working_bytes=1, compile=1.0, init=1.0, epoch=1.0, evaluate=2.0)
    assert estimate.time_lines(without, trial)[-1] == "  17 env steps/s, of all members"


def test_a_trial_measures_and_leaves_nothing(setup, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "TRIAL_SECONDS", 0.01)
    trial = estimate.run_trial(setup[0], GRID, setup[1])
    assert min(trial) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spare", [0, 10**6, None])
def test_what_fits_passes(setup, spare):
    found = estimate.estimate_run(tiny.NAME, setup[0], {}, setup[1])
    needed = 2 * found.bytes_per_member
    estimate.check_memory(found._replace(free=None if spare is None else needed + spare))


def test_what_does_not_fit_is_refused_with_the_numbers_and_how_many_would(setup):
    found = estimate.estimate_run(tiny.NAME, setup[0], GRID, setup[1])
    one = found.bytes_per_member
    with pytest.raises(estimate.MemoryRefusal, match=r"replay\.capacity: 6 members need .* 4 members fit: use fewer"):
        estimate.check_memory(found._replace(free=5 * one - 1))
    with pytest.raises(estimate.MemoryRefusal, match=r"are free\. Lower --config\.replay\.capacity, or"):
        estimate.check_memory(found._replace(free=one - 1))


def test_a_run_that_cannot_fit_makes_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "free_memory", lambda: 10**7)
    refused = session.session("hdm_push", config_file.resolve("hdm_push"), {}, tmp_path / "run")
    with pytest.raises(refusals.SessionError, match=r"^replay\.capacity: 4 members need "), refused:
        pytest.fail("it started")
    assert list(tmp_path.iterdir()) == []


def test_members_that_have_a_device_of_their_own_memory_are_counted_by_device(setup, monkeypatch):
    class Device:
        platform, device_kind, process_index = "gpu", "card", 0

        def memory_stats(self):
            return {"bytes_limit": 100}

    monkeypatch.setattr(jax, "devices", lambda: [Device(), Device()])
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(), Device()])
    found = estimate.estimate_run(tiny.NAME, setup[0], GRID, setup[1])
    assert (found.devices, found.kind, found.sharing, found.free, found.copy) == (2, "card", 3, 100, 0)
