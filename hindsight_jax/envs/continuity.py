"""Does `step` go on with the episode that `reset` began? Read off the traced program of `step`; nothing runs.

An environment that resets itself puts another state, or another goal, in place of the episode's, when an episode is
over or after some steps. Whoever stores its trajectories, and relabels them in hindsight, mixes two episodes. What
shows it is what the outputs of `step` are computed from:

  * a goal: not from the goal before alone;
  * what is achieved: from nothing of the state before, in some case that the goal, `done` or a counter decides;
  * `done`: from a counter alone, in some case. The length of an episode is the spec's, for a rollout to count.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, numerics
from hindsight_jax.envs import _reads

_OBSERVED = ("observation", "achieved_goal", "desired_goal")
_RULE = "`step` must go on with the episode that `reset` began, and never begin or end one by itself"
_REMEDY = "Pass the task itself: a rollout resets each episode, and counts its steps up to spec.horizon."


def check_continues(env: Any) -> None:
    """ValueError if `step` of the environment may begin or end an episode by itself, or if it steps a batch.

    It traces `reset` and `step` once, which for a physics task takes a second or three; compiling them later then takes
    as much less. What a `step` asks the host for (`jax.pure_callback`) is not known, and passes.
    """
    key = numerics.key(0)
    first = _first_state(env, key)
    action = jax.eval_shape(env.spec.action.sample, key)
    with jax.disable_jit(False):  # whoever debugs without it would be shown loops that are unrolled
        program, after = jax.make_jaxpr(env.step, return_shape=True)(first, action)
    fault = _Step(program.jaxpr, _named(first) | {"action": action}, list(_named(after))).fault()
    if fault:
        checks.fail("env", f"{type(env).__name__}, whose step {fault}", _RULE, _REMEDY)


def check_goals_stay(env: Any, goals: jax.Array, first: jax.Array, length: jax.Array) -> None:
    """ValueError if the goals that an episode observed, [N, T, *G] up to its length [N], are not its first [N, *G]."""
    differs = jnp.any(jnp.reshape(goals != first[:, None], (*goals.shape[:2], -1)), axis=-1)
    count = int(jnp.sum(jnp.any(differs & (jnp.arange(goals.shape[1])[None] < length[:, None]), axis=1)))
    if count:
        got = f"{type(env).__name__}, whose step changed the goal within {count} of {len(goals)} episodes"
        checks.fail("env", got, _RULE, _REMEDY)


def _first_state(env: Any, key: jax.Array) -> Any:
    """The shapes of what `reset` returns; ValueError if they are those of a batch."""
    who, observed = type(env).__name__, ", ".join(_OBSERVED)
    rule = f"`reset` must take one key, and return one State that observes {observed}"
    remedy = "Pass the task itself: a rollout maps reset and step over its environments."
    try:
        first = jax.eval_shape(env.reset, key)
    except ValueError:
        if _takes_a_batch(env, key):
            checks.fail("env", f"{who}, whose reset takes a batch of keys", rule, remedy)
        raise
    obs = getattr(first, "obs", None)
    if not isinstance(obs, dict) or not set(_OBSERVED) <= set(obs):
        got = sorted(obs) if isinstance(obs, dict) else type(first).__name__
        checks.fail("env", f"{who}, whose reset returns {got}", rule, "Derive it from envs.GoalEnv.")
    if obs["desired_goal"].shape[1:] == env.spec.goal_shape:
        checks.fail("env", f"{who}, whose reset returns a batch", rule, remedy)
    return first


def _takes_a_batch(env: Any, key: jax.Array) -> bool:
    """Whether `reset` of two keys is two states."""
    try:
        return jax.eval_shape(env.reset, jax.random.split(key, 2)).obs["desired_goal"].shape[0] == 2
    except Exception:  # the caller raises what `reset` says of one key
        return False


def _named(state: Any) -> dict[str, Any]:
    """'obs.desired_goal' -> its array, for every array of a state."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _is_goal(name: str) -> bool:
    """Whether it is the goal of the episode, or its image; what `info` keeps deeper inside is of another state."""
    if _is_note(name):
        return name in ("info.goal", "info.desired_goal")
    return name.rpartition(".")[2] in ("goal", "desired_goal", "goal_image")


def _is_note(name: str) -> bool:
    """Whether it is neither observed nor carried by the physics: done, reward, metrics and info."""
    return name.partition(".")[0] in ("done", "reward", "metrics", "info")


def _is_key(leaf: Any) -> bool:
    """Whether it holds keys, typed or raw."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) or leaf.dtype == jnp.uint32


class _Step:
    """The program of `step`: what its outputs are computed from, as sets of its inputs (ints, a bit each)."""

    def __init__(self, program: Any, inputs: dict[str, Any], outputs: list[str]):
        self._program, self._outputs = program, outputs
        self._bits = {name: 1 << i for i, name in enumerate(inputs)}
        self._computed = 1 << len(inputs)  # of what is computed, and no copy
        self._read = self._reads(_reads.all_cases)
        by_itself = {name for name, bit in self._bits.items() if self._read.get(name) == bit}
        self._goals = self._set(_is_goal)
        self._carried = [
            name
            for name, leaf in inputs.items()
            if name not in by_itself and not (_is_note(name) or _is_goal(name) or _is_key(leaf) or name == "action")
        ]
        self._before = self._goals | self._set(self._carried.__contains__)
        self._here = self._before | self._bits["action"]
        counts = lambda name: name in by_itself and not _is_goal(name) and not _is_key(inputs[name])
        is_count = lambda leaf: leaf.ndim == 0 and jnp.issubdtype(leaf.dtype, jnp.integer)
        self._counters = self._set(lambda name: counts(name) and (_is_note(name) or is_count(inputs[name])))

    def fault(self) -> str:
        """What this step does and no step of an episode does; '' if there is nothing."""
        return self._changes_the_goal() or self._forgets_the_state() or self._counts_to_the_end()

    def _changes_the_goal(self) -> str:
        """A goal is computed from more than the goal. A choice between two of its copies leaves it as it is."""
        foreign = lambda read: read & ~(self._goals | self._computed) if read & self._goals else 0

        def keep(decides: int, cases: Any) -> int:
            are_copies = all(case and not case & ~self._goals for case in cases)
            return _reads.all_cases(0 if are_copies else decides, cases)

        if not any(_is_goal(name) and foreign(read) for name, read in self._read.items()):
            return ""  # without another look at the program
        for name, read in self._reads(keep, self._computed).items():
            if _is_goal(name) and foreign(read):
                read_from = self._names(foreign(read))
                return f"can put another goal in place of the episode's ({name} is computed from {read_from})"
        return ""

    def _forgets_the_state(self) -> str:
        """In some case what is achieved, or all that is carried, comes from nothing of the state before."""
        of_action = lambda name: name.startswith("info.") and self._read.get(name, 0) & self._bits["action"]
        told = self._set(lambda name: _is_note(name) and not of_action(name))  # a delayed action decides as an action
        case = self._reads(self._forgetful(self._goals | self._counters | told))
        known = [name for name in self._carried if self._read.get(name, 0) & self._before]
        forgotten = {name for name in known if not case[name] & self._before}
        physics = {name for name in known if not name.startswith("obs.")}
        if forgotten & physics and ("obs.achieved_goal" in forgotten or physics <= forgotten):
            return f"can put another state in place of the episode's ({', '.join(sorted(forgotten)[:3])})"
        return ""

    def _counts_to_the_end(self) -> str:
        """In some case `done` comes from a counter alone."""
        counters = self._read.get("done", 0) & self._counters
        if counters and not self._reads(self._by_counter)["done"] & self._before:
            return f"can end an episode after some steps (done is computed from {self._names(counters)})"
        return ""

    def _forgetful(self, decisive: int) -> _reads.Choice:
        """Of choices that these inputs decide, the case that is computed from nothing of the state before."""

        def choice(decides: int, cases: Any) -> int:
            blank = [case for case in cases if not case & self._here] if decides & decisive else []
            return blank[0] if blank else _reads.all_cases(decides, cases)

        return choice

    def _by_counter(self, decides: int, cases: Any) -> int:
        """Of choices that a counter decides alone, the case that is computed from nothing of the state before.

        Of `and` and `or`, what a counter alone says: an end after some steps, whether or not it is also a success.
        """
        alone = lambda read: read & self._counters and not read & self._here
        blank = [case for case in cases if (not case & self._here if alone(decides) else not decides and alone(case))]
        return blank[0] if blank else _reads.all_cases(decides, cases)

    def _reads(self, choice: _reads.Choice, computed: int = 0) -> dict[str, int]:
        """Output -> what it is computed from."""
        found = _reads.reads(self._program, list(self._bits.values()), choice, computed)
        return dict(zip(self._outputs, found, strict=True))

    def _set(self, wanted: Callable[[str], bool]) -> int:
        """The set of the inputs whose names are wanted."""
        return _reads.union([bit for name, bit in self._bits.items() if wanted(name)])

    def _names(self, bits: int) -> str:
        """The first three names of a set."""
        return ", ".join([name for name, bit in self._bits.items() if bit & bits][:3])
