"""What is compared when the cost of checks and checkpoints is measured does the same work, apart from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from experiments.bench import safety_cost
from hindsight_jax import training
from hindsight_jax.checkpoints.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def population(experiment):
    return training.make_population(experiment.run)


@pytest.mark.seldom
def test_epochs_without_checks_have_the_same_bits(experiment, population):
    learn = safety_cost.learn_without_checks(experiment, {"agent.updates_per_epoch": 2})
    without_checks = training.make_population(experiment.run._replace(learn=learn))
    keys = training.member_keys(0, 2)
    advanced = without_checks.advance(without_checks.init(keys), 3)
    reference.same_bits(advanced, population.advance(population.init(keys), 3))


@pytest.mark.seldom
def test_a_filled_ring_holds_what_a_run_would_store_and_no_more_than_fits(experiment, population):
    for total_steps, stored in ((20, 4), (1000, 16)):
        state = population.init(training.member_keys(0, 2))
        before = state.members.env_steps.tolist()
        state = safety_cost.filled(experiment, state, total_steps)
        assert state.members.replay.size.tolist() == [min(2 + stored, 16)] * 2  # behind the warm-up's two
        assert state.members.env_steps.tolist() == before
        assert len(np.unique(state.members.replay.trajectories.observation[0, 4])) > 5  # noise
    state = population.advance(state, 1)
    assert bool(jnp.all(jnp.isfinite(jax.tree.leaves(state.members.agent.params)[0])))


@pytest.mark.seldom
def test_a_checkpoint_is_written_alone_and_behind_epochs_and_the_state_goes_on(population, tmp_path):
    holder = [population.init(training.member_keys(0, 2))]
    seconds = safety_cost.one_checkpoint(population, holder, 10.0, Checkpoints(tmp_path))
    assert set(seconds) == {"of_the_copy", "of_writing", "without", "with"}
    assert all(second > 0 for second in seconds.values())
    assert int(holder[0].epochs) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000000000001", "step_000000000002"]
