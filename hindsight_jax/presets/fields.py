"""The fields of a run that no agent declares: steps, tasks, the ring, goals, evaluation, checkpoints.

Those that an agent declares, `agent.*`, stand where it takes them (`fields.declared`); `resolve` brings both together.
"""

from hindsight_jax.checks import INT32_MAX
from hindsight_jax.fields import Field, Need
from hindsight_jax.types import MOST_PIXELS

_HINDSIGHT = Need({"relabel.behaviour": (1.0,)}, differs=True)  # some goals are hindsight goals
_NOT_NEXT = Need({"relabel.next_state": (1.0,)}, differs=True)
_HAS_DATA = Need({"data.file": ("",)}, differs=True)
_COLLECTS = Need({"data.share": (1.0,)}, differs=True)

# Every run has these.
RUN: dict[str, Field] = {
    "seed": Field(0, "member i has the key jax.random.key(seed + i)", 0, INT32_MAX),
    "seeds": Field(4, "members trained in one call", 1, 4096),
    "total_steps": Field(
        1_000_000, "env steps per seed, warm-up included; an episode counts its horizon", 1, INT32_MAX
    ),
    "env.num_envs": Field(1, "trajectories per collection and seed", 1, 2**20),
    "evaluation.episodes": Field(200, "greedy episodes per evaluation and seed", 1, 2**20),
    "evaluation.every": Field(25_000, "env steps between two evaluations", 1, INT32_MAX),
    "checkpoint.seconds": Field(60.0, "least time between two checkpoints, each after an evaluation", 0.0, 1e9),
    "checkpoint.keep": Field(2, "newest checkpoints that are kept", 1, 1000),
    "on_nan": Field(
        "freeze",
        "what a member that is not finite stops, found at the next evaluation: itself alone, or the run",
        options=("freeze", "halt"),
    ),
}

# Runs whose agent learns from transitions of the ring.
RING: dict[str, Field] = {
    "agent.batch_size": Field(256, "transitions per update", 1, 2**20),
    "agent.updates_per_epoch": Field(50, "updates after each collection", 1, INT32_MAX),
    "replay.capacity": Field(20_000, "trajectories kept", 1, INT32_MAX, needs=(_COLLECTS,)),
    "replay.warmup": Field(200, "random trajectories before the first update", 1, INT32_MAX, needs=(_COLLECTS,)),
    # Only a run that has a file has the field, so that the values of all others are what they were without it.
    "data.file": Field(
        "",
        "trajectories to learn from, written by datasets.save",
        needs=(_HAS_DATA, Need({"env.pixels": (0, None)})),
    ),
    "data.share": Field(
        0.5,
        "share of each batch that is drawn from data.file; 1: offline alone, and env steps are counted but not taken",
        0.0,
        1.0,
        needs=(_HAS_DATA,),
    ),
    "relabel.behaviour": Field(0.15, "share of transitions that keep the behaviour goal", 0.0, 1.0),
    "relabel.next_state": Field(
        0.2, "share of hindsight transitions whose goal is the next state's", 0.0, 1.0, needs=(_HINDSIGHT,)
    ),
    "relabel.law": Field(
        "future",
        "law of the other hindsight goals: a later state, uniform or geometric, or the final one; any of the episode",
        options=("future", "geometric", "final", "episode"),
        needs=(_HINDSIGHT, _NOT_NEXT),
    ),
    "relabel.discount": Field(
        0.98, "of the geometric law, per env step", 0.0, 1.0, needs=(Need({"relabel.law": ("geometric",)}),)
    ),
    "relabel.preference": Field(
        0.0, "probability of preferring hindsight goals that ask for a change; 0: off", 0.0, 1.0, needs=(_HINDSIGHT,)
    ),
    "relabel.num_candidates": Field(
        8, "candidates of the preference", 1, 1024, needs=(Need({"relabel.preference": (0.0,)}, differs=True),)
    ),
}

# Runs whose agent reads rewards and discounts.
REWARDS: dict[str, Field] = {
    "relabel.rewards": Field(
        "index",
        "what earns reward_reached: s' as the goal by index, or success at s'",
        options=("index", "success"),
    ),
    "relabel.reward_reached": Field(0.0, "reward where the goal is reached", -1e6, 1e6),
    "relabel.reward_otherwise": Field(-1.0, "reward of every other transition", -1e6, 1e6),
    "relabel.absorbing": Field(
        False, "a goal that is reached ends its episode: the discount is 0 there; else agents bootstrap"
    ),
}

_IMAGES = Need({"env.pixels": (0,)}, differs=True)

# Runs whose agent can see images.
IMAGES: dict[str, Field] = {
    "env.pixels": Field(
        0, "side of the images that states are seen as, such as 48; 0: states as they are", 0, MOST_PIXELS
    ),
    "env.frames": Field(1, "newest frames in an image observation", 1, 16, needs=(_IMAGES,)),
    "env.goals": Field(
        "state", "a policy is shown a goal's coordinates, or its image", options=("state", "image"), needs=(_IMAGES,)
    ),
}

# Arguments of tasks, by the name that the task's constructor has for them.
ENV: dict[str, Field] = {
    "actions": Field("discrete", "kind of action", options=("discrete", "continuous")),
    "bins": Field(3, "values of each move of a discrete action", 2, 101, needs=(Need({"env.actions": ("discrete",)}),)),
    "size": Field(2, "bits or dimensions of the task", 1, 10_000),
    "horizon": Field(0, "steps per episode; 0: the task's own", 0, 10_000),
    "threshold": Field(0.05, "success is a distance below this", 1e-9, 1e6),
    "slip": Field(0.2, "probability of a random move instead of the chosen one", 0.0, 1.0),
    "start": Field("uniform", "first state", options=("uniform", "zeros")),
    "backend": Field(
        "generalized",
        "brax's physics; each is a dynamics of its own",
        options=("generalized", "spring", "positional", "mjx"),
    ),
}

# Fields of the goal law that the members of one population may differ in.
MEMBERS_OWN = ("relabel.behaviour", "relabel.next_state", "relabel.discount", "relabel.preference")
