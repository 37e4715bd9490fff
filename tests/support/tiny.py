"""Values of a run that trains in a moment: her_flip_bit on three bits, a warm-up of 6 steps, then epochs of 6."""

NAME = "her_flip_bit"
VALUES = {
    "env.size": 3,
    "env.num_envs": 2,
    "evaluation.episodes": 8,
    "evaluation.every": 12,
    "agent.hidden_sizes": (8,),
    "agent.batch_size": 4,
    "agent.updates_per_epoch": 2,
    "replay.warmup": 2,
    "replay.capacity": 10,
}
