"""Every value of a run: default, type, range, help, and the rules between them. Errors say got, rule and remedy."""

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hindsight_jax import checks

Value = bool | int | float | str | tuple[int, ...]


class Field(NamedTuple):
    """One value of a run: its default (whose type it has), what is allowed, a line of help, and who reads it."""

    default: Value
    help: str
    low: float = float("-inf")
    high: float = float("inf")
    options: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()  # kinds of agent whose rows have this value; all of them if empty


_LARGE = 2**31 - 1
# Kinds of agent, and who reads what.
_Q, _IMITATION, _CRITIC, _GRADIENT = AGENTS = ("q_learning", "imitation", "actor_critic", "policy_gradient")
_VALUES = (_Q, _CRITIC)  # learn values by temporal differences
_RING = (_Q, _IMITATION, _CRITIC)  # learn from the ring

FIELDS: dict[str, Field] = {
    "seed": Field(0, "member i has the key jax.random.key(seed + i)", 0, _LARGE),
    "seeds": Field(4, "members trained in one call", 1, 4096),
    "total_steps": Field(1_000_000, "env steps per seed, warm-up included; an episode counts its horizon", 1, _LARGE),
    "agent.learning_rate": Field(5e-4, "Adam's step size", 0.0, 1.0),
    "agent.gamma": Field(0.98, "discount per env step", 0.0, 1.0, agents=_VALUES),
    "agent.gamma_hdm": Field(
        0.85, "imitate where Q says: nearer by more than -log(gamma_hdm) steps; may be inf", 0.0, agents=(_Q,)
    ),
    "agent.beta": Field(1.0, "weight of imitation", 0.0, 1e6, agents=(_Q,)),
    "agent.epsilon": Field(0.1, "probability of a uniform action while exploring", 0.0, 1.0, agents=AGENTS),
    "agent.noise": Field(
        0.5, "std of the noise on a continuous action while exploring", 0.0, 1e6, agents=(_IMITATION, _CRITIC)
    ),
    "agent.exploration": Field(
        "sample", "what the noise is added to", options=("mode", "sample"), agents=(_IMITATION,)
    ),
    "agent.target_rate": Field(0.005, "target network's step towards the online one", 0.0, 1.0, agents=_VALUES),
    "agent.target_period": Field(10, "updates between two such steps", 1, 2**24, agents=_VALUES),
    "agent.temperature": Field(0.2, "tau of the soft backup, in units of Q", 1e-6, 1e6, agents=(_Q,)),
    "agent.hidden_sizes": Field((400, 300), "units of the hidden layers, such as 400,300", 1, 65536),
    "agent.layer_norm": Field(False, "layer normalisation before each ReLU"),
    "agent.scale_inputs": Field(
        False, "map observation and goal from their ranges to [-1, 1]", agents=(_Q, _IMITATION, _GRADIENT)
    ),
    "agent.normalise_inputs": Field(True, "inputs less their running mean, over their deviation", agents=(_CRITIC,)),
    "agent.backup": Field("double", "value of s' in the target", options=("double", "max", "mellow"), agents=(_Q,)),
    "agent.imitation": Field("none", "which rows are imitated", options=("none", "always", "indicator"), agents=(_Q,)),
    "agent.next_state": Field(
        "relabel", "Algorithm 1, line 2: by relabelling or as a loss", options=("relabel", "loss"), agents=(_Q,)
    ),
    "agent.bounded": Field(True, "targets are at most 0", agents=(_Q,)),
    "agent.hindsight_bound": Field(False, "values are at least what the trajectory itself reached", agents=(_Q,)),
    "agent.evaluated": Field(
        "online", "network whose greedy action is evaluated", options=("online", "target"), agents=(_Q,)
    ),
    "agent.clip_targets": Field(
        False, "targets are clipped to [-1 / (1 - gamma), 0], as DDPG + HER was released", agents=(_CRITIC,)
    ),
    "agent.action_l2": Field(1.0, "weight of the mean square of the actor's action", 0.0, 1e6, agents=(_CRITIC,)),
    "agent.goals": Field(
        "visited",
        "goals to learn for: visited by the batch, or each one's own",
        options=("visited", "own"),
        agents=(_GRADIENT,),
    ),
    "agent.num_goals": Field(32, "visited goals drawn for an update", 1, 2**20, agents=(_GRADIENT,)),
    "agent.group_size": Field(
        0, "trajectories that share goals and weights, a divisor of env.num_envs; 0: all", 0, 2**20, agents=(_GRADIENT,)
    ),
    "agent.baseline": Field(False, "subtract a learnt value from the return", agents=(_GRADIENT,)),
    "agent.batch_size": Field(256, "transitions per update", 1, 2**20, agents=_RING),
    "agent.updates_per_epoch": Field(50, "updates after each collection", 1, _LARGE, agents=_RING),
    "env.num_envs": Field(1, "trajectories per collection and seed", 1, 2**20),
    "env.actions": Field("discrete", "kind of action", options=("discrete", "continuous")),
    "env.bins": Field(3, "values of each move of a discrete action", 2, 101),
    "env.size": Field(2, "bits or dimensions of the task", 1, 10_000),
    "env.horizon": Field(0, "steps per episode; 0: the task's own", 0, 10_000),
    "env.threshold": Field(0.05, "success is a distance below this", 1e-9, 1e6),
    "env.slip": Field(0.2, "probability of a random move instead of the chosen one", 0.0, 1.0),
    "env.start": Field("uniform", "first state", options=("uniform", "zeros")),
    "replay.capacity": Field(20_000, "trajectories kept", 1, _LARGE, agents=_RING),
    "replay.warmup": Field(200, "random trajectories before the first update", 1, _LARGE, agents=_RING),
    "relabel.behaviour": Field(0.15, "share of rows that keep the behaviour goal", 0.0, 1.0, agents=_RING),
    "relabel.next_state": Field(0.2, "share of hindsight rows whose goal is the next state's", 0.0, 1.0, agents=_RING),
    "relabel.rewards": Field(
        "index",
        "what earns reward_reached: s' as the goal by index, or success at s'",
        options=("index", "success"),
        agents=_VALUES,
    ),
    "relabel.reward_reached": Field(0.0, "reward where the goal is reached", -1e6, 1e6, agents=_VALUES),
    "relabel.reward_otherwise": Field(-1.0, "reward of every other row", -1e6, 1e6, agents=_VALUES),
    "relabel.preference": Field(
        0.0, "probability of preferring hindsight goals that ask for a change; 0: off", 0.0, 1.0, agents=_RING
    ),
    "relabel.num_candidates": Field(8, "candidates of the preference", 1, 1024, agents=_RING),
    "evaluation.episodes": Field(200, "greedy episodes per evaluation and seed", 1, 2**20),
    "evaluation.every": Field(25_000, "env steps between two evaluations", 1, _LARGE),
    "checkpoint.seconds": Field(60.0, "least time between two checkpoints, each after an evaluation", 0.0, 1e9),
    "checkpoint.keep": Field(2, "newest checkpoints that are kept", 1, 1000),
    "on_nan": Field(
        "freeze",
        "what a member that is not finite stops, found at the next evaluation: itself alone, or the run",
        options=("freeze", "halt"),
    ),
}

_HOW_TO_LIST = "List the fields: python -m experiments.run --help."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that the word was likely meant as; a dotted name's last part is enough. None if nothing is near.

    >>> nearest("hdm_psh", ["hdm_push", "her_push"]), nearest("gama", ["agent.gamma"]), nearest("zzz", ["hdm_push"])
    ('hdm_push', 'agent.gamma', None)
    """
    spellings: dict[str, str] = {}
    for name in known:
        spellings.setdefault(name.lower(), name)
        spellings.setdefault(name.rpartition(".")[2].lower(), name)
    found = difflib.get_close_matches(word.lower()[:100], spellings, n=1, cutoff=0.65)
    return spellings[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """'Did you mean agent.gamma? ' with a space behind, to stand before a remedy; '' if nothing is near."""
    name = nearest(word, known)
    return f"Did you mean {prefix}{name}? " if name else ""


def checked(field: str, value: Any) -> Any:
    """`value` in the type of the field's default: whole floats become ints and ints floats; nothing else is converted.

    Raises ValueError for an unknown field, another type, NaN, or a value out of range.

    >>> checked("agent.gamma_hdm", 1), checked("total_steps", 1e6), checked("agent.hidden_sizes", [256, 256])
    (1.0, 1000000, (256, 256))
    """
    if field not in FIELDS:
        checks.fail(str(field), short(value), "there is no such field", did_you_mean(str(field), FIELDS) + _HOW_TO_LIST)
    spec = FIELDS[field]
    remedy = f"It is: {spec.help}. Default: {text(spec.default)}."
    if isinstance(spec.default, tuple):
        if not isinstance(value, (tuple, list)) or not value:
            checks.fail(field, short(value), f"it must be {allowed(spec)}", remedy)
        return tuple(_number(field, spec, 0, entry, remedy) for entry in value)
    if isinstance(spec.default, bool):
        if not isinstance(value, bool):
            checks.fail(field, short(value), f"it must be {allowed(spec)}", remedy)
        return value
    if isinstance(spec.default, str):
        if not isinstance(value, str) or value not in spec.options:
            checks.fail(
                field, short(value), f"it must be {allowed(spec)}", did_you_mean(str(value), spec.options) + remedy
            )
        return value
    return _number(field, spec, spec.default, value, remedy)


def _number(field: str, spec: Field, like: int | float, value: Any, remedy: str) -> Any:
    """`value` as the type of `like`, if it lies in the field's range."""
    whole = isinstance(like, int)
    good = _is_number(value) and spec.low <= value <= spec.high
    # An int beyond the floats is refused; the infinite float passes where the range is open.
    if not good or (whole and value != math.floor(value)) or (isinstance(value, int) and abs(value) > 2**1000):
        checks.fail(field, short(value), f"it must be {allowed(spec)}", remedy)
    return int(value) if whole else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def allowed(spec: Field) -> str:
    """What a field takes, in words.

    >>> [allowed(FIELDS[field]) for field in ("agent.gamma", "agent.backup", "agent.bounded")]
    ['a number in [0, 1]', 'one of double, max, mellow', 'true or false']
    """
    if spec.options:
        return "one of " + ", ".join(spec.options)
    if isinstance(spec.default, bool):
        return "true or false"
    span = f"in [{text(spec.low)}, {text(spec.high)}]"
    if isinstance(spec.default, tuple):
        return f"one or more integers {span}"
    return f"{'an integer' if isinstance(spec.default, int) else 'a number'} {span}"


def text(value: Value) -> str:
    """A value as the command line takes it.

    >>> text(1e6), text((400, 300)), text(True), text(5e-4), text(float("inf"))
    ('1000000', '400,300', 'true', '0.0005', 'inf')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}  # as strict JSON spells them


def to_json(value: Value) -> Any:
    """A value as strict JSON holds it: tuples are lists, infinities text.

    >>> to_json((8, 8)), to_json(math.inf)
    ([8, 8], 'Infinity')
    """
    if isinstance(value, tuple):
        return list(value)
    return next((word for word, number in INFINITE.items() if value == number), value)


def from_json(value: Any) -> Any:
    """Undoes `to_json`, but for the type, which `checked` gives; inf and -inf are taken, too.

    >>> checked("agent.gamma_hdm", from_json("inf")), checked("agent.hidden_sizes", from_json([8, 8]))
    (inf, (8, 8))
    """
    return (INFINITE | {"inf": math.inf, "-inf": -math.inf}).get(value, value) if isinstance(value, str) else value


def complete(values: Mapping[str, Any], known: Iterable[str] = tuple(FIELDS)) -> dict[str, Any]:
    """Every known field in its type, if the dict holds all of them and no others.

    Raises ValueError otherwise.
    """
    known = tuple(known)
    if not isinstance(values, Mapping):
        checks.fail("values", short(values), "it must map every field to a value", "Start from presets.config(name).")
    for field in values:
        if field in FIELDS and field not in known:
            checks.fail(field, short(values[field]), "this run has no use for it", "Leave it out.")
    typed = {field: checked(field, value) for field, value in values.items()}
    for field in known:
        if field not in typed:
            checks.fail(field, "nothing", "every field must be there", "Start from presets.config(name).")
    return typed


def short(value: Any) -> str:
    """repr, cut to what fits a message.

    >>> short("x" * 100)[-6:]
    'xxx...'
    """
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
