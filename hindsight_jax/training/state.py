"""The static parts and the state of a run and of a population.

Dimension key: M members.
"""

from typing import Any, NamedTuple

import jax

from hindsight_jax import relabel
from hindsight_jax.agents.base import Agent
from hindsight_jax.replay import Replay, RewardFn


class RunSizes(NamedTuple):
    """The static counts of a run, per member."""

    num_envs: int = 1  # trajectories collected in one epoch
    updates_per_epoch: int = 50
    batch_size: int = 256  # transitions of one update
    warmup_trajectories: int = 200  # uniform random actions, collected by init; 0 for an on-policy agent
    evaluation_episodes: int = 200


class RunSpec(NamedTuple):
    """The static parts of a run: the arguments of `make_run`."""

    env: Any  # GoalEnv or HostEnv
    agent: Agent
    ring: Replay
    law: Any  # relabel.Law, a function of a member's overrides that returns one, or None
    reward_fn: RewardFn
    sizes: RunSizes
    preference: Any  # relabel.Preference, a function of a member's overrides that returns one, or None


class RunState(NamedTuple):
    """Everything that changes during a run: restored from a checkpoint, a run goes on bit for bit."""

    agent: Any
    replay: Any  # ReplayState; None while a population learns, which needs no ring
    law: relabel.Law | None  # its weights may differ between members; None for an on-policy agent
    preference: relabel.Preference | None
    key: jax.Array
    epoch_key: jax.Array  # u32[...], key data at the start of the last epoch; if frozen, of the epoch that failed
    env_steps: jax.Array  # i32[], warm-up included; every trajectory counts T, since the batch runs on to the horizon
    updates: jax.Array  # i32[]
    frozen: jax.Array  # bool[], something was not finite: from then on only `key` and `env_steps` change


class Best(NamedTuple):
    """Each member's agent at its best evaluation so far (of ties, the earliest)."""

    agent: Any  # every leaf [M, ...]
    success_end: jax.Array  # f32[M]; -inf before the first evaluation
    env_steps: jax.Array  # i32[M]


class PopulationState(NamedTuple):
    """All members, and their metrics since the last `record`. A checkpoint holds exactly this."""

    members: RunState  # every leaf [M, ...]
    best: Best
    metric_sums: dict[str, jax.Array]  # f32[M] each, summed over epochs
    epochs: jax.Array  # i32[], done so far
    summed_epochs: jax.Array  # i32[], epochs in metric_sums
