"""Loads the agents of a run from its work directory: the best or the last of the newest intact checkpoint.

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

# leaves that earlier versions stored under another path: see `Checkpoints.restore`
RENAMED_LEAVES = {".agent.values.": ".agent.hparams."}


class Saved(NamedTuple):
    """The agents of all members, and the setup that trained them."""

    name: str  # of the run
    setup: presets.Setup
    members: training.Members  # the seed and the setting of each
    agents: Any  # the agents' states, every leaf [M, ...]
    env_steps: np.ndarray  # i64[M], of each agent

    def policy(self, member: int, explore: bool = False) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
        """One member's policy(observation [*O], goal [*G], key) -> action [D]; works under jit and vmap."""
        count = len(self.members.seeds)
        if not 0 <= member < count:
            checks.fail("member", member, f"there are {count}, counted from 0", f"Pass 0 to {count - 1}.")
        agent = jax.tree.map(lambda x: x[member], self.agents)
        return lambda observation, goal, key: self.setup.agent.act(agent, observation, goal, key, explore)


def load(workdir: str | os.PathLike[str], which: Literal["best", "last"] = "best") -> Saved:
    """The agents that a run saved in its work directory. Changes nothing there; the run may be going on.

    Args:
      workdir: of `python -m experiments.run`, or one of the directories below it where its grid has several programs.
      which: `best` for each member's agent at its evaluation with the highest success so far, which is chosen in
        hindsight and so flatters the run; or `last`.

    Raises:
      ValueError: `which` is unknown, or `workdir` holds no run that this version can read.
      CheckpointError: the run has no checkpoint, or every one is damaged.

        from hindsight_jax.runs import load
        run = load.load("runs/push")
        policy = jax.jit(run.policy(member=0))
    """
    if which not in ("best", "last"):
        checks.fail("which", repr(which), "it must be best or last", "Pass best, or leave it out.")
    name, config, grid = config_file.load(Path(workdir) / "config.json")
    folder = Path(workdir) / "checkpoints"
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: not there, so the run has saved nothing yet. Wait, or check the path.")
    config = config_file.values(config)
    setup = presets.build(name, config)
    members = config_file.members(config, grid)
    template = training.make_population(setup.run).template(members.keys())
    _, state, _ = Checkpoints(folder).restore(template, renamed=RENAMED_LEAVES)
    if which == "last":
        return Saved(name, setup, members, state.members.agent, np.asarray(state.members.env_steps, np.int64))
    return Saved(name, setup, members, state.best.agent, np.asarray(state.best.env_steps, np.int64))
