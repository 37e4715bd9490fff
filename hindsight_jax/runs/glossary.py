"""What each metric of a run means: the words of curves.png, of the report and of the documentation.

A custom agent's metric that is not here is shown under its own name.
"""

from typing import NamedTuple


class Metric(NamedTuple):
    """A column of metrics.jsonl."""

    title: str  # a few words, for a panel
    meaning: str  # a sentence or two: of what it is the mean, its unit and its sign


# The order is that in which panels are drawn: the most telling first.
GLOSSARY = {
    "success_end": Metric(
        "success at the end",
        "Share of evaluation episodes whose last state is a success. The greedy policy plays, on new starts and goals.",
    ),
    "success_any": Metric(
        "success at any step",
        "Share of evaluation episodes with a success after at least one action, kept until the end or not.",
    ),
    "q_mean": Metric(
        "mean Q of a batch",
        "Q(s, a, g) over the relabelled batch. With rewards of -1 and 0 it lies between -1 / (1 - gamma) and 0: minus "
        "the discounted number of steps that the goal seems away. Sinking without end is a fault.",
    ),
    "q_other_mean": Metric(
        "mean Q at other goals",
        "Q(s, a, g) at the goals of other rows of the batch, of agents that compare them with the row's own.",
    ),
    "ratio_cut_fraction": Metric(
        "share of ratios at their limit",
        "Share of the batch whose density ratio is cut at agent.largest_ratio, where f* goes on as a line.",
    ),
    "imitated_fraction": Metric(
        "imitated share of a batch",
        "Share of the batch that is imitated: what the indicator or the gate picks, 1 for HER + HBC; of a soft gate "
        "the mean weight, which may be above 1.",
    ),
    "value_mean": Metric(
        "mean V of a batch",
        "V(s, g) of the critic of states over the relabelled batch; read it as q_mean.",
    ),
    "td_loss": Metric("TD loss", "Mean squared temporal-difference error of the batch."),
    "actor_loss": Metric(
        "actor loss",
        "Minus Q of the actor's own actions, plus its penalty on squared actions, or the temperature times log pi.",
    ),
    "contrastive_loss": Metric(
        "InfoNCE, nats",
        "How badly each (s, a) of a batch tells its own goal from those of the other rows; 0 is by chance, minus the "
        "logarithm of the batch's size the least.",
    ),
    "contrastive_accuracy": Metric(
        "own goal told from others", "Share of a batch whose own goal is the nearest to (s, a) of all goals in it."
    ),
    "energy_mean": Metric(
        "energy of a batch", "Minus the distance of the representations of (s, a) and of its own goal; 0 is the most."
    ),
    "return_mean": Metric(
        "return on the goals of a batch",
        "Sum of rewards of the batch's trajectories for the goals that the update learns for.",
    ),
    "entropy": Metric("entropy of the policy, nats", "Mean entropy of the policy's action; 0 is deterministic."),
    "temperature": Metric("temperature", "Price of a nat of entropy in units of value, at the end of a batch."),
    "effective_sample_share": Metric(
        "effective share of a batch",
        "Effective number of trajectories under the importance weights over their number: 1 if all weigh the same.",
    ),
    "loss": Metric("loss", "What the update minimises, the mean over the batch."),
    "imitated_distance": Metric(
        "distance to the goal where imitated",
        "Mean distance of phi(s) to the goal over the steps that are imitated, in the task's units; none where no "
        "step is imitated.",
    ),
    "distance_end": Metric(
        "distance to the goal at the end",
        "Mean distance of the last state of evaluation episodes to the goal, in the task's units.",
    ),
    "imitation_loss": Metric(
        "imitation loss", "Mean of -log pi(a given s, g) over the whole batch, imitated or not, in nats."
    ),
    "value_loss": Metric(
        "value loss",
        "Mean squared error of the learnt baseline, weighted as the policy's loss is; or the expectile loss of values.",
    ),
    "hit_fraction": Metric("goals hit", "Share of the batch's trajectories that reach the goal they are learnt for."),
    "target_mean": Metric("mean target value", "V(s', g) of the backup over the batch, before reward and discount."),
    "reward_mean": Metric(
        "mean reward of a batch", "Over relabelled steps; with rewards of -1 and 0, minus the misses."
    ),
    "collect_success_end": Metric(
        "success while collecting",
        "Share of collected episodes whose last state is a success: the exploring policy, on its own goals.",
    ),
    "frozen": Metric("frozen", "1 from where a member's numbers stopped being finite: it is trained no further."),
}

# The columns that are no diagnostics.
COLUMNS = {
    "member": "index of the member: setting x seed",
    "seed": "seed of the member",
    "env_steps": "environment steps that the member took, warm-up included",
    "env_steps_taken": "of a run that learns from a data set alone: 0; its env_steps are those of its schedule",
    "updates": "gradient steps that the member made",
    "seconds_train": "seconds of training so far, of all members together",
    "seconds_evaluate": "seconds of evaluation so far",
    "unix_seconds": "when the record was written",
}


def base(key: str) -> str:
    """The metric's own name.

    >>> base("learner/td_loss")
    'td_loss'
    """
    return key.rsplit("/", 1)[-1].rsplit(".", 1)[-1]


def title(key: str) -> str:
    """The words for a panel: the name itself for a metric that is not in the glossary."""
    return GLOSSARY[base(key)].title if base(key) in GLOSSARY else key


def meaning(key: str) -> str:
    """What it is; '' for a metric that is not in the glossary."""
    return GLOSSARY[base(key)].meaning if base(key) in GLOSSARY else ""


def rank(key: str) -> tuple[int, str]:
    """A sort key: the glossary's order, then other names by the alphabet."""
    order = list(GLOSSARY)
    return (order.index(base(key)) if base(key) in GLOSSARY else len(order), key)
