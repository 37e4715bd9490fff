"""The rules between the values of a run: each raises a ValueError with the numbers and the remedy."""

from collections.abc import Mapping
from typing import Any

from hindsight_jax import checks, types
from hindsight_jax.checks import INT32_MAX
from hindsight_jax.fields import text

TWO_PLACES = {1: 44, 2: 52}  # last stride -> least pixels of which `networks.ImageEncoder` leaves 2 x 2 places


def check(config: Mapping[str, Any], *, imitates: bool = False, random: bool = False) -> None:
    """The rules between fields. Raises ValueError with the numbers and the remedy.

    Args:
      config: complete; its `env.horizon` is the task's number of steps, above 0.
      imitates: whether the agent takes every row for one that reached its goal, to imitate it or to tell goals apart.
      random: whether the task's dynamics are random.
    """
    if "replay.capacity" in config:
        _check_counts(config)
    _check_seeds(config)
    _check_length(config)
    if "data.file" in config:
        _check_share(config)
    if config.get("env.pixels"):
        _check_images(config)
    if "relabel.rewards" in config:
        _check_rewards(config)
    if imitates:
        _check_reached(config)
    if config.get("agent.num_others") and config["agent.batch_size"] < 2:
        rule = "each row is compared with the goals of others, so there must be two or more"
        checks.fail("agent.batch_size", config["agent.batch_size"], rule, "Use 256.")
    if config.get("agent.next_state") == "loss":
        _check_line_2(config)
    if random and config.get("agent.hindsight_bound"):
        rule = "the task's dynamics are random, and what a trajectory reached by luck bounds nothing"
        checks.fail("agent.hindsight_bound", "true", rule, "Set it to false.")
    if config.get("agent.group_size") and config["env.num_envs"] % config["agent.group_size"]:
        rule = f"env.num_envs ({config['env.num_envs']}) must be a multiple of it"
        checks.fail("agent.group_size", config["agent.group_size"], rule, "Use 0 for one group, or another number.")
    if "agent.logsumexp_weight" in config and config["agent.batch_size"] < 2:
        rule = "each row is told from the goals of the other rows, of which there is none"
        checks.fail("agent.batch_size", config["agent.batch_size"], rule, "Use 256.")
    if config.get("agent.clip_targets") and config.get("agent.gamma") == 1.0:
        remedy = "Use a smaller one, or agent.clip_targets=false."
        checks.fail("agent.gamma", 1.0, "agent.clip_targets bounds targets by 1 / (1 - gamma)", remedy)


def _check_images(v: Mapping[str, Any]) -> None:
    """The encoder's layers, which have no padding, leave enough places."""
    if v["env.pixels"] < types.LEAST_PIXELS:
        rule = f"it must be 0, or at least {types.LEAST_PIXELS}: three layers without padding take no smaller image"
        checks.fail("env.pixels", v["env.pixels"], rule, "Use 48.")
    spatial_softmax = v.get("agent.spatial_softmax")  # a registered agent may lack it, and the stride
    if spatial_softmax and v["env.pixels"] < TWO_PLACES[v.get("agent.last_stride", 1)]:
        rule = f"a mean place needs at least 2 x 2 of them, and {v['env.pixels']} pixels leave 1 x 1"
        checks.fail("agent.spatial_softmax", "true", rule, "Use agent.last_stride=1, more pixels, or false.")


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


def _check_share(v: Mapping[str, Any]) -> None:
    """Each batch has a transition of each kind that it shall have."""
    rows, size = round(v["data.share"] * v["agent.batch_size"]), v["agent.batch_size"]
    if v["data.share"] != 1.0 and not 0 < rows < size:
        rule = f"of agent.batch_size ({size}) it is {rows} transitions, and both the file and the run must have one"
        checks.fail("data.share", text(v["data.share"]), rule, "Use 1 for the file alone, or leave data.file out.")


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
    _check_steps(v, rewards, both, got)
    if v.get("agent.hindsight_bound") and v.get("agent.backup") == "mellow":
        remedy = "Set agent.hindsight_bound=false, or agent.backup=double."
        checks.fail("agent.backup", "mellow", "soft values lie below what agent.hindsight_bound supposes", remedy)
    if (
        v.get("agent.beta", 1.0) != 1.0
        and v.get("agent.next_state") == "relabel"
        and (rewards != (0.0, -1.0) or v["relabel.rewards"] != "index")
    ):
        remedy = "Restore them, or use agent.imitation_weight, which leaves rewards alone."
        checks.fail(both, got, "agent.beta makes the rewards of 0 and -1 by index -1 + beta and -1", remedy)
    if v["relabel.rewards"] == "index" and v["relabel.behaviour"] == 1.0:
        rule = (
            f"by index a behaviour goal never earns relabel.reward_reached, so every reward would be {text(rewards[1])}"
        )
        checks.fail("relabel.behaviour", 1.0, rule, "Use relabel.rewards=success, or a smaller share.")
    if v.get("agent.hindsight_bound") and v["relabel.absorbing"] and v.get("agent.beta", 1.0) > 1.0:
        remedy = "Use at most 1, or agent.hindsight_bound=false."
        checks.fail(
            "agent.beta", v["agent.beta"], "agent.hindsight_bound counts on staying at an absorbing goal", remedy
        )


def _check_steps(v: Mapping[str, Any], rewards: tuple[float, float], both: str, got: str) -> None:
    """Gates that read values as steps, and rewards as whether one arrives, have rewards of 0 and -1."""
    for option in ("agent.imitation", "agent.gate", "agent.weighting"):
        gate = v.get(option)
        if gate in ("progress", "advantage") and rewards != (0.0, -1.0):
            rule = f"{option}={gate} reads values as steps, which rewards of 0 and -1 alone make them"
            checks.fail(both, got, rule, f"Restore them, or use another {option}.")
    if v.get("agent.imitation") == "progress" and v["agent.beta"] > 1.0:
        rule = "agent.imitation=progress reads values as steps, and no number of them costs what arriving would earn"
        checks.fail("agent.beta", text(v["agent.beta"]), rule, "Use agent.imitation_weight, or at most 1.")


def _check_reached(v: Mapping[str, Any]) -> None:
    """What is imitated, or an example of what leads to a goal, did reach that goal."""
    if v["relabel.behaviour"] > 0.0:
        rule = "every row must lead to its goal, and an episode's own goal need not have been reached"
        checks.fail("relabel.behaviour", v["relabel.behaviour"], rule, "Use 0.")
    if v.get("relabel.law") == "episode":
        rule = "every row must lead to its goal, and a state of the past is not reached by what follows"
        checks.fail("relabel.law", "episode", rule, "Use future, geometric or final.")


def _check_line_2(v: Mapping[str, Any]) -> None:
    """Algorithm 1, line 2, stands alone: nothing else rewards s', and it raises Q(s, a, s')."""
    rewards = v["relabel.reward_reached"], v["relabel.reward_otherwise"]
    if rewards[0] != rewards[1]:
        got, both = f"{text(rewards[0])} and {text(rewards[1])}", "relabel.reward_reached and relabel.reward_otherwise"
        remedy = "Set relabel.reward_reached to relabel.reward_otherwise, or agent.next_state=relabel."
        checks.fail(both, got, "agent.next_state=loss takes the place of a reward for reaching s'", remedy)
    if v["relabel.next_state"] > 0.0:
        rule = "agent.next_state=loss raises Q(s, a, s'), which these rows would pull down at reward_otherwise"
        checks.fail("relabel.next_state", v["relabel.next_state"], rule, "Use 0, or agent.next_state=relabel.")
    if v.get("agent.gamma_hdm", 1.0) > 1.0:
        rule = "agent.next_state=loss weighs Q(s, a, s') by 1 - gamma_hdm, and would push it down"
        checks.fail("agent.gamma_hdm", text(v["agent.gamma_hdm"]), rule, "Use at most 1, or agent.next_state=relabel.")
    if v.get("agent.bounded"):
        rule = "agent.next_state=loss raises Q(s, a, s') above 0 on purpose (its minimum is the target plus a constant)"
        checks.fail("agent.bounded", "true", rule, "Set it to false, or agent.next_state=relabel.")
