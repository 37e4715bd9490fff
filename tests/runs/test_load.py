"""Loading the policies of a run, best and last: those of the golden run."""

import functools
import operator
import pickle
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden import GOLDEN, restored

import hindsight_jax
from hindsight_jax.runs import records


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "run"))


def test_its_policies_are_found_best_and_last(copy):
    """And give what their member's agent gives, greedy or exploring, to observation, goal and key in this order."""
    table = [records.decode(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    _, state, _ = restored(copy)
    keys = jax.random.split(jax.random.key(0), 32)
    for which in ("best", "last"):
        run = hindsight_jax.load(copy, which)
        kept = state.best if which == "best" else state.members
        jax.tree.map(np.testing.assert_array_equal, run.agents, kept.agent)
        obs = jax.vmap(run.setup.env.reset)(keys).obs
        given = (obs["observation"], obs["desired_goal"], keys)
        for member, steps in enumerate(run.env_steps):
            success = {row["env_steps"]: row["success_end"] for row in table if row["member"] == member}
            assert steps == (max(success) if which == "last" else max(success, key=lambda s: (success[s], -s)))
            agent = jax.tree.map(operator.itemgetter(member), run.agents)
            explore = member == 1
            act = functools.partial(run.setup.agent.act, agent, explore=explore)
            np.testing.assert_array_equal(jax.vmap(run.policy(member, explore))(*given), jax.vmap(act)(*given))
    with pytest.raises(ValueError, match="which: got 'newest', but it must be best or last"):
        hindsight_jax.load(copy, "newest")
    loaded = hindsight_jax.load(copy)
    for member in (2, -1, True, 1.0, "0", None, np.array([0])):
        with pytest.raises(
            ValueError, match=r"^member: got .*, but it must be an integer: there are 2 members, counted"
        ):
            loaded.policy(member)
    with pytest.raises(ValueError, match=r"^explore: got 'no'"):
        loaded.policy(np.int64(0), "no")
    for again in (pickle.loads(pickle.dumps(loaded)).policy(1), pickle.loads(pickle.dumps(loaded.policy(1)))):
        np.testing.assert_array_equal(jax.vmap(again)(*given), jax.vmap(loaded.policy(1))(*given))
    for member in (np.int64(1), jnp.int32(1), np.array(1)):
        np.testing.assert_array_equal(jax.vmap(loaded.policy(member))(*given), jax.vmap(loaded.policy(1))(*given))
