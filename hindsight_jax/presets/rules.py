"""The rules between the values of a run: each raises a ValueError with the numbers and the remedy."""

import math
from collections.abc import Mapping
from typing import Any

from hindsight_jax import checks
from hindsight_jax.checks import INT32_MAX
from hindsight_jax.fields import text


def check(config: Mapping[str, Any]) -> None:
    """The rules between fields. Raises ValueError with the numbers and the remedy.

    `config` is complete; its `env.horizon` is the task's number of steps, above 0.
    """
    if "replay.capacity" in config:
        _check_counts(config)
    _check_seeds(config)
    _check_length(config)
    if "relabel.rewards" in config:
        _check_rewards(config)
    if config.get("agent.group_size") and config["env.num_envs"] % config["agent.group_size"]:
        rule = f"env.num_envs ({config['env.num_envs']}) must be a multiple of it"
        checks.fail("agent.group_size", config["agent.group_size"], rule, "Use 0 for one group, or another number.")
    if config.get("agent.clip_targets") and config.get("agent.gamma") == 1.0:
        remedy = "Use a smaller one, or agent.clip_targets=false."
        checks.fail("agent.gamma", 1.0, "agent.clip_targets bounds targets by 1 / (1 - gamma)", remedy)


def _check_seeds(v: Mapping[str, Any]) -> None:
    """Every seed is an int32."""
    last_seed = v["seed"] + v["seeds"] - 1
    if last_seed > INT32_MAX:
        rule = f"the last of the {v['seeds']} seeds would be {last_seed}, and it must be below 2^31"
        checks.fail("seed", v["seed"], rule, "Use a smaller seed.")


def _check_counts(v: Mapping[str, Any]) -> None:
    """What is collected fits the ring, and rows are counted in int32."""
    for field in ("replay.warmup", "env.num_envs"):
        if v[field] > v["replay.capacity"]:
            rule = f"it must be at most replay.capacity ({v['replay.capacity']})"
            checks.fail(field, v[field], rule, "Lower it, or raise replay.capacity: both count trajectories.")
    for field, other in (("replay.capacity", "env.horizon"), ("agent.updates_per_epoch", "agent.batch_size")):
        if v[field] * v[other] > INT32_MAX:
            rule = f"{field} * {other} ({v[other]}) must be below 2^31"
            checks.fail(field, v[field], rule, f"Use at most {INT32_MAX // v[other]}.")


def _check_length(v: Mapping[str, Any]) -> None:
    """There is time for the warm-up and one epoch, and the int32 counters of steps and updates do not wrap."""
    warmup, epoch = v.get("replay.warmup", 0) * v["env.horizon"], v["env.num_envs"] * v["env.horizon"]
    if v["total_steps"] < warmup + epoch:
        rule = f"the warm-up takes {warmup} steps (replay.warmup * env.horizon) and one epoch {epoch}"
        remedy = f"Use at least {warmup + epoch}, or lower replay.warmup or env.num_envs."
        if not warmup:
            rule, remedy = f"one epoch takes {epoch}", f"Use at least {epoch}, or lower env.num_envs."
        checks.fail("total_steps", v["total_steps"], rule, remedy)
    num_epochs = -(-(v["total_steps"] - warmup) // epoch)
    last = {"steps": warmup + num_epochs * epoch, "updates": num_epochs * v.get("agent.updates_per_epoch", 1)}
    for counter, count in last.items():
        if count > INT32_MAX:
            rule = f"the run would count {count} {counter}, which must stay below 2^31"
            checks.fail("total_steps", v["total_steps"], rule, "Use fewer steps or a smaller agent.updates_per_epoch.")


def _check_rewards(v: Mapping[str, Any]) -> None:
    """Options that suppose certain rewards have them."""
    rewards = v["relabel.reward_reached"], v["relabel.reward_otherwise"]
    got = f"{text(rewards[0])} and {text(rewards[1])}"
    both = "relabel.reward_reached and relabel.reward_otherwise"
    if v.get("agent.hindsight_bound") and v["relabel.rewards"] != "index":
        remedy = "Set agent.hindsight_bound=false, or relabel.rewards=index."
        checks.fail("relabel.rewards", v["relabel.rewards"], "agent.hindsight_bound counts steps by index", remedy)
    if v.get("agent.bounded") and max(rewards) > 0:
        remedy = "Set agent.bounded=false, or lower the rewards."
        checks.fail(both, got, "with agent.bounded targets are at most 0, so rewards must be too", remedy)
    if v.get("agent.hindsight_bound") and rewards != (0.0, -1.0):
        remedy = "Set agent.hindsight_bound=false, or restore the rewards."
        checks.fail(both, got, "agent.hindsight_bound is a bound for 0 and -1 alone", remedy)
    if v.get("agent.hindsight_bound") and v.get("agent.backup") == "mellow":
        remedy = "Set agent.hindsight_bound=false, or agent.backup=double."
        checks.fail("agent.backup", "mellow", "soft values lie below what agent.hindsight_bound supposes", remedy)
    if v.get("agent.next_state") == "loss":
        if rewards[0] != rewards[1]:
            remedy = "Set relabel.reward_reached to relabel.reward_otherwise, or agent.next_state=relabel."
            checks.fail(both, got, "agent.next_state=loss takes the place of a reward for reaching s'", remedy)
        if v.get("agent.gamma_hdm") == math.inf:
            remedy = "Use a finite one, or agent.next_state=relabel."
            checks.fail("agent.gamma_hdm", "inf", "agent.next_state=loss is infinite there", remedy)
