"""Loads the agents that a run has trained so far, from the newest good checkpoint of its work directory.

Dimension key: M members, O observation dims, G goal dims, D action dims.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import chex
import jax
import numpy as np

from hindsight_jax import checks, presets, replay, training
from hindsight_jax.checkpoints.checkpoints import CheckpointError, Checkpoints
from hindsight_jax.runs import config_file, imports

# leaves that earlier versions stored under another path: see `Checkpoints.restore`
RENAMED_LEAVES = {".agent.values.": ".agent.hparams."}
# leaves that earlier versions had not, with the number that was in effect then
ADDED_LEAVES = {
    ".agent.hparams.imitation_weight": 1.0,
    ".agent.hparams.progress": 0.5,
    ".agent.hparams.target_noise": 0.2,
    ".agent.hparams.target_noise_clip": 0.5,
    ".agent.hparams.q_weight": 1.0,
    ".agent.hparams.beta": 1.0,
    ".agent.hparams.gamma_hdm": 0.85,
    ".agent.hparams.percentile_rate": 0.01,
}


class Saved(NamedTuple):
    """The agents of all members, and the setup that trained them."""

    name: str  # of the run
    setup: presets.Setup
    members: training.Members  # the seed and the setting of each
    agents: Any  # the agents' states, every leaf [M, ...]
    env_steps: np.ndarray  # i64[M], of each agent
    config: Mapping[str, Any]  # what `setup` was built from, with the name

    def policy(self, member: int, explore: bool = False) -> "Policy":
        """One member's policy(observation [*O], goal [*G], key) -> action [D], which may be jitted and mapped.

        Raises ValueError for a member that is not there.
        """
        count = len(self.members.seeds)
        rule = f"it must be an integer: there are {count} members, counted from 0"
        member = checks.whole("member", member, 0, count - 1, f"Use 0 to {count - 1}.", rule)
        explore = checks.flag("explore", explore, "Pass True for the policy that collects.")
        agent = jax.tree.map(lambda x: x[member], self.agents)
        return Policy(self.name, self.config, self.setup, agent, explore)

    def __reduce__(self) -> tuple[Any, ...]:
        """Functions do not pickle: a copy builds the setup anew, from name and config."""
        return _saved, (imports.imported(), self.name, self.config, self.members, self.agents, self.env_steps)


class Policy:
    """A member's policy(observation [*O], goal [*G], key) -> action [D]. It may be jitted, mapped and pickled.

    A process that unpickles one imports the modules of the run's --import first.
    """

    def __init__(self, name: str, config: Mapping[str, Any], setup: presets.Setup, agent: Any, explore: bool):
        self._name, self._config, self._setup = name, config, setup
        self._agent, self._explore = agent, explore

    def __call__(self, observation: jax.Array, goal: jax.Array, key: jax.Array) -> jax.Array:
        return self._setup.agent.act(self._agent, observation, goal, key, self._explore)

    def __reduce__(self) -> tuple[Any, ...]:
        return _policy, (imports.imported(), self._name, self._config, self._agent, self._explore)


def load(workdir: str | os.PathLike[str], which: Literal["best", "last"] = "best") -> Saved:
    """The agents that a run saved in its work directory. Changes nothing there; the run may be going on.

    Args:
      workdir: of the command `hindsight-jax`, or one of the directories below it where its grid has several programs.
      which: `best`, each member's at the evaluation with its highest success so far, chosen in hindsight and so
        flattering; or `last`.

    Raises:
      ValueError: another word, no path, no run there, one of another version, or one whose --import fails here.
      CheckpointError: it has no checkpoint, or every one is damaged.

        run = hindsight_jax.load("runs/push")
        env, policy = run.setup.env, jax.jit(run.policy(member=0))
        state = env.reset(jax.random.key(0))
        action = policy(state.obs["observation"], state.obs["desired_goal"], jax.random.key(1))

    Where goals are images a policy takes state.obs["goal_image"].
    """
    if not isinstance(which, str) or which not in ("best", "last"):
        checks.fail("which", checks.short(which), "it must be best or last", "Use 'best'.")
    name, config, setup, members, state = _restored(workdir)
    chosen = state.best if which == "best" else state.members
    agents, env_steps = chosen.agent, chosen.env_steps
    chex.assert_tree_shape_prefix(agents, (len(members.seeds),))
    return Saved(name, setup, members, agents, np.asarray(env_steps, np.int64), config)


def load_replay(workdir: str | os.PathLike[str]) -> replay.ReplayState:
    """What the replay rings of all members held at a run's newest good checkpoint, every leaf [M, ...].

    `datasets.save(path, load_replay(workdir))` writes it as a data set. Raises what `load` raises.
    """
    return _restored(workdir).state.members.replay


class _Restored(NamedTuple):
    """A run's newest good checkpoint, and what it is of."""

    name: str
    config: Mapping[str, Any]
    setup: presets.Setup
    members: training.Members
    state: training.PopulationState


def _restored(workdir: str | os.PathLike[str]) -> _Restored:
    """Reads config.json and the newest good checkpoint; a data set that the run learns from is left unread."""
    checks.path("workdir", workdir, "Name the directory that the run's command was given.")
    name, config, grid = config_file.load(Path(workdir) / "config.json")
    folder = Path(workdir) / "checkpoints"
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: it is not there, so the run has saved nothing yet. Wait, or check the path.")
    setup = presets.build(name, config, read_data=False)
    members = config_file.members(config, grid)
    population = training.make_population(setup.run)
    _, state, _ = Checkpoints(folder).restore(
        population.template(members.keys()), renamed=RENAMED_LEAVES, added=ADDED_LEAVES
    )
    return _Restored(name, config, setup, members, state)


def _setup(modules: list[str], name: str, config: Mapping[str, Any]) -> presets.Setup:
    imports.import_modules(modules)
    return presets.build(name, config, read_data=False)


def _saved(
    modules: list[str], name: str, config: Mapping[str, Any], members: Any, agents: Any, env_steps: np.ndarray
) -> Saved:
    return Saved(name, _setup(modules, name, config), members, agents, env_steps, config)


def _policy(modules: list[str], name: str, config: Mapping[str, Any], agent: Any, explore: bool) -> Policy:
    return Policy(name, config, _setup(modules, name, config), agent, explore)
