"""What a run has learnt so far, from its work directory: the newest good checkpoint's agents, the best or the last.

Dimension key: M members, O observation dims, G goal dims, D action dims.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from hindsight_jax import checks, presets, training
from hindsight_jax.checkpoints.checkpoints import CheckpointError, Checkpoints
from hindsight_jax.runs import config_file


class Saved(NamedTuple):
    """Agents of all members, and how they were made."""

    name: str  # of the run
    setup: presets.Setup
    members: training.Members  # the seed and the setting of each
    agents: Any  # the agents' states, every leaf [M, ...]
    env_steps: np.ndarray  # i64[M], after which each was as it is here

    def policy(self, member: int, explore: bool = False) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
        """One member's policy(observation [*O], goal [*G], key) -> action [D], to be jitted and mapped at will."""
        if not 0 <= member < len(self.members.seeds):
            checks.fail("member", member, f"there are {len(self.members.seeds)}, counted from 0", "Pick one of them.")
        agent = jax.tree.map(lambda x: x[member], self.agents)
        return lambda observation, goal, key: self.setup.agent.act(agent, observation, goal, key, explore)


def load(workdir: str | os.PathLike[str], which: Literal["best", "last"] = "best") -> Saved:
    """The agents that a run saved in its work directory. Nothing is changed there, and the run may be going on.

    Args:
      workdir: of `python -m experiments.run`, or one of the directories below it where its grid has several programs.
      which: `best`, each member's at the evaluation with its highest success so far, chosen in hindsight and so
        flattering; or `last`.

    Raises:
      ValueError: another word, no run there, or one of another version.
      CheckpointError: it has no checkpoint, or every one is damaged.

        from experiments import saved
        run = saved.load("runs/push")
        policy = jax.jit(run.policy(member=0))
    """
    if which not in ("best", "last"):
        checks.fail("which", repr(which), "it must be best or last", "Pick one of them.")
    name, config, grid = config_file.load(Path(workdir) / "config.json")
    folder = Path(workdir) / "checkpoints"
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: it is not there, so the run has saved nothing yet. Wait, or check the path.")
    values = config_file.values(config)
    setup = presets.build(name, values)
    members = config_file.members(values, grid)
    population = training.make_population(setup.run)
    _, state, _ = Checkpoints(folder).restore(population.template(members.keys()))
    if which == "last":
        return Saved(name, setup, members, state.members.agent, np.asarray(state.members.env_steps, np.int64))
    return Saved(name, setup, members, state.best.agent, np.asarray(state.best.env_steps, np.int64))
