"""What the defaults change in the papers' schedules, task by task. BUILD_NOTES.md says why, with push's ablation."""

from hindsight_jax.fields import Value

# What all rows of the pure-JAX tasks share: inputs in [-1, 1], hEM's rhythm of collecting and learning, short runs.
_SHORT: dict[str, Value] = {"total_steps": 150_000, "evaluation.every": 10_000, "agent.scale_inputs": True}
_PURE: dict[str, Value] = _SHORT | {
    "agent.learning_rate": 1e-3,
    "agent.updates_per_epoch": 40,
    "env.num_envs": 20,
    "replay.warmup": 20,
}

# hEM where places must be met closely: the mode and some noise, a short ring, larger batches.
_REACH: dict[str, Value] = {
    "agent.scale_inputs": True,
    "agent.hidden_sizes": (256, 256),
    "agent.exploration": "mode",
    "agent.noise": 0.2,
    "agent.batch_size": 512,
    "replay.capacity": 1_000,
}

# Policy gradients: many trajectories in small groups, and uniform actions, since nothing is replayed (BUILD_NOTES.md).
_GROUPS: dict[str, Value] = _SHORT | {
    "agent.epsilon": 0.3,
    "agent.hidden_sizes": (256,),
    "agent.group_size": 4,
    "agent.num_goals": 8,
    "env.num_envs": 16,
}

# HDM's tasks on a CPU, where updates are the cost: a smaller network, and fewer updates for a step.
_LEAN: dict[str, Value] = {
    "agent.hidden_sizes": (256, 256),
    "agent.scale_inputs": True,
    "env.num_envs": 4,
    "replay.capacity": 4_000,
}

# Q-learning where what was reached can be kept, so that what a trajectory did bounds what can be done.
_KEPT: dict[str, Value] = _LEAN | {
    "agent.target_period": 2,
    "agent.hindsight_bound": True,
    "agent.evaluated": "target",
}
_DOOR: dict[str, Value] = {"total_steps": 200_000, "evaluation.every": 10_000}
_CLAW: dict[str, Value] = {"total_steps": 200_000, "evaluation.every": 20_000}
# hEM with a fixed deviation: one learnt from noisy samples is the noise's (BUILD_NOTES.md).
_HAND: dict[str, Value] = {
    "total_steps": 50_000,
    "evaluation.every": 5_000,
    "agent.scale_inputs": True,
    "agent.std": 0.2,
}

# By environment, then by kind of agent or by algorithm, which comes last.
TUNED: dict[str, dict[str, dict[str, Value]]] = {
    "lunar_lander": {  # nothing in flight can be kept: no bound of hindsight; and every update tells
        "q_learning": _LEAN
        | {"agent.target_period": 4, "agent.evaluated": "target", "env.num_envs": 1, "agent.updates_per_epoch": 100},
        "imitation": _LEAN | {"env.num_envs": 1},
    },
    "door": {"q_learning": _KEPT | _DOOR, "imitation": _LEAN | _DOOR},
    "claw": {"q_learning": _KEPT | _CLAW, "imitation": _LEAN | _CLAW},
    "four_rooms": {
        "q_learning": _KEPT | {"agent.learning_rate": 1e-3, "env.num_envs": 8},
        "imitation": _LEAN | {"agent.learning_rate": 1e-3, "env.num_envs": 8},
    },
    "push": {
        "q_learning": {
            "total_steps": 250_000,
            "agent.learning_rate": 2e-3,
            "agent.target_period": 1,
            "agent.hidden_sizes": (256, 256),
            "agent.scale_inputs": True,
            "agent.hindsight_bound": True,
            "env.num_envs": 4,
            "replay.capacity": 10_000,
            "evaluation.every": 10_000,
        },
    },
    "fetch_reach": {
        "imitation": _HAND,
        "actor_critic": {"total_steps": 100_000, "evaluation.every": 10_000},
    },
    "sawyer_reach": {
        "imitation": _HAND,
        "actor_critic": {"total_steps": 200_000, "evaluation.every": 10_000},
    },
    "point_mass": {
        "imitation": _REACH | {"total_steps": 200_000, "evaluation.every": 20_000},
        "actor_critic": {"total_steps": 200_000, "evaluation.every": 20_000},
    },
    "reacher": {
        "imitation": _REACH | {"total_steps": 300_000, "evaluation.every": 20_000},
        "actor_critic": {"total_steps": 200_000, "evaluation.every": 20_000},
    },
    "flip_bit": {
        "q_learning": _PURE
        | {
            "agent.target_period": 1,
            "agent.hidden_sizes": (256,),
            "agent.hindsight_bound": True,
            "replay.capacity": 2_000,
        },
        "imitation": _PURE | {"agent.hidden_sizes": (256,)},
        "policy_gradient": _GROUPS | {"total_steps": 1_000_000, "evaluation.every": 50_000},
    },
    "navigation": {
        "q_learning": _PURE
        | {
            "agent.target_period": 1,
            "agent.hidden_sizes": (256, 256),
            "agent.hindsight_bound": True,
            "replay.capacity": 2_000,
        },
        "imitation": _PURE
        | {
            "total_steps": 300_000,
            "agent.hidden_sizes": (256,),
            "agent.exploration": "mode",
            "agent.noise": 0.1,
            "agent.learning_rate": 5e-4,
            "agent.batch_size": 1024,
            "replay.capacity": 1_000,
        },
        "actor_critic": {"total_steps": 150_000, "evaluation.every": 15_000},
        "policy_gradient": _GROUPS,
    },
    "grid_four_rooms": {
        "q_learning": _PURE | {"agent.target_period": 1, "agent.hidden_sizes": (256, 256), "replay.capacity": 2_000},
        "imitation": _PURE
        | {
            "total_steps": 400_000,
            "evaluation.every": 40_000,
            "agent.hidden_sizes": (256, 256),
            "replay.capacity": 2_000,
        },
        "hem": {"agent.acting": "sample"},  # its mode walks straight on, and stays at walls (BUILD_NOTES.md)
        "policy_gradient": _GROUPS | {"total_steps": 400_000, "evaluation.every": 40_000},
    },
}
