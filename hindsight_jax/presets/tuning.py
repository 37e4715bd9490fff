"""What the defaults change in the papers' schedules, task by task. docs/results.md says why, with push's ablation.

SCHEDULES holds what all algorithms of a task share, so that comparing two defaults compares two algorithms: network,
learning rate, inputs, updates and length of a run. ANYWHERE and TUNED add what a kind of agent, or an algorithm, has
alone.
"""

from hindsight_jax.fields import Value

# HDM's tasks on a CPU, where updates are the cost: a smaller network, and fewer updates for a step.
_LEAN: dict[str, Value] = {
    "agent.hidden_sizes": (256, 256),
    "agent.learning_rate": 5e-4,
    "agent.scale_inputs": True,
    "agent.batch_size": 256,
    "agent.updates_per_epoch": 50,
    "env.num_envs": 4,
    "replay.warmup": 200,
    "replay.capacity": 4_000,
}

# hEM's tasks: inputs in [-1, 1], hEM's rhythm of collecting and learning, short runs.
_RHYTHM: dict[str, Value] = {
    "agent.learning_rate": 1e-3,
    "agent.scale_inputs": True,
    "agent.batch_size": 256,
    "agent.updates_per_epoch": 40,
    "env.num_envs": 20,
    "replay.warmup": 20,
}
_PURE: dict[str, Value] = _RHYTHM | {"total_steps": 150_000, "evaluation.every": 10_000}
_HAND: dict[str, Value] = _RHYTHM | {
    "total_steps": 50_000,
    "evaluation.every": 5_000,
    "agent.hidden_sizes": (256, 256, 256),
}
# Places that must be met closely: a short ring, larger batches.
_REACH: dict[str, Value] = _RHYTHM | {
    "agent.hidden_sizes": (256, 256),
    "agent.batch_size": 512,
    "evaluation.every": 20_000,
    "replay.capacity": 1_000,
}

# From images: hEM's encoder with more places left, and rings and checkpoints that count frames.
_SEEN: dict[str, Value] = {"agent.last_stride": 1, "replay.capacity": 1_000, "checkpoint.seconds": 600.0}
# hEM's tasks: an update takes so long that four times as many steps between two cost little, and with 20 trajectories a
# collection the network learns their actions by heart (BUILD_NOTES.md).
_MANY: dict[str, Value] = _SEEN | {"env.num_envs": 80, "evaluation.every": 20_000}
_HAND_SEEN: dict[str, Value] = _HAND | _MANY | {"total_steps": 100_000}

# Two frames show velocities; evaluations act with averaged weights, since an update's noise is as large as the actions.
_REACH_SEEN: dict[str, Value] = _REACH | _MANY | {"env.frames": 2, "agent.batch_size": 256, "agent.averaging": 200}

# HDM's tasks from images, whose updates cost many times those from states.
_BRIEF: dict[str, Value] = {
    "total_steps": 100_000,
    "evaluation.every": 10_000,
    "agent.learning_rate": 1e-3,
    "env.num_envs": 32,
}

# Walks of 1,000 steps: few episodes hold many transitions. Not tuned.
_WALK: dict[str, Value] = _RHYTHM | {
    "agent.hidden_sizes": (256, 256),
    "agent.updates_per_epoch": 200,
    "env.num_envs": 16,
    "replay.warmup": 16,
    "replay.capacity": 1_000,
    "total_steps": 10_000_000,
    "evaluation.every": 500_000,
    "evaluation.episodes": 64,
}

# By environment, for every algorithm that has the field.
SCHEDULES: dict[str, dict[str, Value]] = {
    "four_rooms": _LEAN | {"agent.learning_rate": 1e-3, "env.num_envs": 8},
    "lunar_lander": _LEAN | {"env.num_envs": 1, "agent.updates_per_epoch": 100},  # every update tells
    "push": _LEAN
    | {
        "total_steps": 250_000,
        "evaluation.every": 10_000,
        "agent.learning_rate": 2e-3,
        "replay.capacity": 10_000,
    },
    "door": _LEAN | {"total_steps": 200_000, "evaluation.every": 10_000},
    "claw": _LEAN | {"total_steps": 200_000, "evaluation.every": 20_000},
    "fetch_reach": _HAND,
    "sawyer_reach": _HAND,
    "point_mass": _REACH | {"total_steps": 200_000},
    "reacher": _REACH | {"total_steps": 300_000},
    "fetch_reach_pixels": _HAND_SEEN,
    "sawyer_reach_pixels": _HAND_SEEN,
    "point_mass_pixels": _REACH_SEEN | {"total_steps": 200_000},  # success falls again after that
    "reacher_pixels": _REACH_SEEN | {"total_steps": 480_000},
    "four_rooms_pixels": _LEAN | _SEEN | _BRIEF,
    "push_pixels": _LEAN | _SEEN | _BRIEF | {"total_steps": 200_000},
    "flip_bit": _PURE | {"agent.hidden_sizes": (256,)},
    "navigation": _PURE
    | {
        "total_steps": 300_000,
        "agent.hidden_sizes": (256,),
        "agent.learning_rate": 5e-4,
        "agent.batch_size": 1024,
        "replay.capacity": 1_000,
    },
    "grid_four_rooms": _PURE
    | {
        "total_steps": 400_000,
        "evaluation.every": 40_000,
        "agent.hidden_sizes": (256, 256),
        "replay.capacity": 2_000,
    },
    "brax_reacher": _REACH | {"env.num_envs": 10, "total_steps": 300_000},  # as many steps for an update as reacher
    "brax_pusher": _HAND | {"total_steps": 2_000_000, "evaluation.every": 100_000},
    "brax_ant": _WALK,
    "brax_humanoid": _WALK,
}

# Q-learning where what was reached can be kept, so that what a trajectory did bounds what can be done.
_KEPT: dict[str, Value] = {"agent.target_period": 2, "agent.hindsight_bound": True, "agent.evaluated": "target"}
# Q-learning where an episode ends at its goal.
_ENDS: dict[str, Value] = {"agent.target_period": 1, "relabel.absorbing": True}
# DDPG + HER in some thousand updates: the targets' step of 0.05 every 40 updates lags 800 of them (docs/results.md).
_SOON: dict[str, Value] = {"agent.target_period": 2}
# With rewards of 0 and 1 an actor without a penalty gives every goal one corner of its actions (docs/results.md).
_MILD: dict[str, Value] = {"agent.action_l2": 0.1}

# hEM with a fixed deviation: one that is learnt from noisy samples holds the noise (docs/results.md).
_FIXED: dict[str, Value] = {"agent.std": 0.2}
# hEM where places must be met closely: the mode and some noise.
_NEAR: dict[str, Value] = {"agent.exploration": "mode", "agent.noise": 0.2}

# Policy gradients: many trajectories in small groups, and uniform actions, since nothing is replayed (docs/results.md).
_GROUPS: dict[str, Value] = {
    "agent.epsilon": 0.3,
    "agent.group_size": 4,
    "agent.num_goals": 8,
    "env.num_envs": 16,
}

# By kind of agent, on every task. HPG's author's form is not what trains best, or was not tried.
ANYWHERE: dict[str, dict[str, Value]] = {
    # HER's penalty of 1 on squared actions outweighs what one action adds to Q where steps are small (docs/results.md).
    "actor_critic": {"agent.action_l2": 0.0},
    # SAC's 1 makes the entropy of a step worth more than the step, and few updates bring down neither that nor Q.
    "soft_actor_critic": {"agent.initial_temperature": 0.1, "agent.target_rate": 0.02},
    "policy_gradient": {
        "agent.goals": "visited",
        "agent.activation": "relu",
        "agent.first_weights": "fan_in",
        "env.num_envs": 20,
    },
}

# By environment, then by kind of agent or by algorithm, which comes last.
TUNED: dict[str, dict[str, dict[str, Value]]] = {
    "lunar_lander": {  # nothing in flight can be kept, and luck decides: no bound of hindsight
        "q_learning": {"agent.target_period": 4, "agent.evaluated": "target"},
    },
    "door": {"q_learning": _KEPT},
    "claw": {"q_learning": _KEPT},
    "four_rooms": {"q_learning": _KEPT | {"agent.bounded": True}},
    "push": {"q_learning": {"agent.target_period": 1, "agent.hindsight_bound": True}},
    "fetch_reach": {"q_learning": _ENDS, "her_ddpg": _MILD, "her_ddpg_dense": _SOON, "hem": _FIXED},
    "sawyer_reach": {"q_learning": _ENDS, "her_ddpg": _MILD, "her_ddpg_dense": _SOON, "hem": _FIXED},
    "point_mass": {"q_learning": _ENDS, "her_ddpg_dense": _SOON, "imitation": _NEAR},
    "reacher": {"q_learning": _ENDS, "her_ddpg_dense": _SOON, "imitation": _NEAR},
    "fetch_reach_pixels": {"q_learning": _ENDS, "hem": _FIXED},
    "sawyer_reach_pixels": {"q_learning": _ENDS, "hem": _FIXED},
    # Samples explore: from images, the mode stays where it is. Less noise than hEM's, which the deviation feeds on.
    "point_mass_pixels": {"q_learning": _ENDS, "imitation": {"agent.noise": 0.2}},
    "reacher_pixels": {"q_learning": _ENDS, "imitation": _NEAR},
    "brax_reacher": {"imitation": _NEAR},
    "four_rooms_pixels": {"q_learning": _KEPT | {"agent.bounded": True}},
    "push_pixels": {"q_learning": {"agent.target_period": 1, "agent.hindsight_bound": True}},
    "flip_bit": {
        "q_learning": _ENDS | {"agent.hindsight_bound": True, "replay.capacity": 2_000},
        "policy_gradient": _GROUPS | {"env.start": "uniform"},
    },
    "navigation": {
        # Steps of 0.2 in each coordinate reach 0.975 of the goals in 2 dimensions, and 0.14 in 10.
        "q_learning": _ENDS | {"agent.hindsight_bound": True, "env.size": 2},
        "imitation": {"agent.exploration": "mode", "agent.noise": 0.1},
        "gcsl": {"env.size": 2},
        "policy_gradient": _GROUPS | {"env.size": 2},
    },
    "grid_four_rooms": {
        "q_learning": _ENDS,
        "policy_gradient": _GROUPS,
        "hem": {"agent.acting": "sample"},  # its mode walks straight on, and stays at walls (docs/results.md)
    },
}

# Where what was reached can be kept, or ends the episode, it bounds the critics of gated imitation, as it does Q; where
# luck decides nothing does, and nothing in flight can be kept either.
_BOUND: dict[str, Value] = {"agent.hindsight_bound": True}
_END: dict[str, Value] = {"relabel.absorbing": True}
_CRITICS = dict.fromkeys(SCHEDULES, _BOUND | _END)
_CRITICS |= dict.fromkeys(("four_rooms", "push", "door", "claw", "four_rooms_pixels", "push_pixels"), _BOUND)
_CRITICS["grid_four_rooms"] = _END
del _CRITICS["lunar_lander"]
for _task, _changes in _CRITICS.items():
    _gated = ("hdm_v",) if _task in ("flip_bit", "grid_four_rooms") else ("hdm_v", "hdm_ac")  # discrete alone
    TUNED[_task] = TUNED.get(_task, {}) | dict.fromkeys(_gated, _changes)
