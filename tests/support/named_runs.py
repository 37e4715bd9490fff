"""The names that there are, listed by hand, and small runs of them."""

from hindsight_jax import presets

TABLE_1 = ("hdm", "hdm_printed", "her", "her_01", "her_sql", "her_hbc", "gcsl")  # HDM's method and its baselines
HEM = ("hem", "hpg", "hpg_baseline", "reinforce")  # hEM's, on any kind of action
DDPG = ("her_ddpg", "her_ddpg_clipped", "her_ddpg_dense")  # hEM's, continuous
OURS = ("hdm_progress",)  # discrete, of no paper that is reproduced
OURS_CONTINUOUS = ("td3_her", "hdm_ac", "wgcsl")
OURS_ON_BOTH = ("hdm_v", "gcivl")
SOFT = ("sac_her", "crl")  # later baselines, continuous, of states alone
WIDER = ("f_divergence", "nce", "energy_based")  # HDM's other losses, which no experiment of it has
HDM_TASKS = ("four_rooms", "lunar_lander", "push", "door", "claw")  # its Table 1
HEM_TASKS = ("flip_bit", "navigation", "point_mass", "reacher", "fetch_reach", "sawyer_reach", "grid_four_rooms")
DISCRETE_ONLY = ("flip_bit", "grid_four_rooms")
CONTINUOUS_FIRST = tuple(task for task in HEM_TASKS if task not in DISCRETE_ONLY)
SEEN = ("fetch_reach", "sawyer_reach", "point_mass", "reacher", "push", "four_rooms")  # as images, too
BRAX = ("brax_reacher", "brax_pusher", "brax_ant", "brax_humanoid")  # continuous alone
IMAGES = tuple(f"{task}_pixels" for task in SEEN)
TRIED = tuple((algorithm, task) for algorithm in ("hem", "her_ddpg_dense") for task in IMAGES[:4])  # by hEM
WITHOUT_PAPER = (  # pairs of an algorithm and a task that no paper has
    *((algorithm, task) for algorithm in TABLE_1 for task in HEM_TASKS),
    *((algorithm, task) for algorithm in WIDER for task in (*HDM_TASKS, *HEM_TASKS)),
    *((algorithm, task) for algorithm in (*HEM, *DDPG) for task in HDM_TASKS),
    *((algorithm, task) for algorithm in SOFT for task in (*HDM_TASKS, *CONTINUOUS_FIRST)),
    *((algorithm, task) for algorithm in (*TABLE_1, "hem", *DDPG) for task in IMAGES if (algorithm, task) not in TRIED),
    *((algorithm, task) for algorithm in (*OURS, *OURS_ON_BOTH) for task in (*HDM_TASKS, *HEM_TASKS, *IMAGES)),
    *((algorithm, task) for algorithm in OURS_CONTINUOUS for task in (*HDM_TASKS, *CONTINUOUS_FIRST, *IMAGES)),
    *(
        (algorithm, task)
        for algorithm in ("gcsl", *HEM, *DDPG, *OURS_CONTINUOUS, *OURS_ON_BOTH, *SOFT)
        for task in BRAX
    ),
)
WITH_PAPER = (
    *((algorithm, task) for algorithm in TABLE_1 for task in HDM_TASKS),
    *((algorithm, task) for algorithm in HEM for task in HEM_TASKS),
    *((algorithm, task) for algorithm in DDPG for task in CONTINUOUS_FIRST),
    *TRIED,
)
MISFITS = (
    *((algorithm, task) for algorithm in (*DDPG, *OURS_CONTINUOUS, *SOFT) for task in DISCRETE_ONLY),
    *((algorithm, task) for algorithm in (*SOFT, *WIDER, "hpg", "hpg_baseline", "reinforce") for task in IMAGES),
    *((algorithm, task) for algorithm in (*TABLE_1, *OURS, *WIDER) if algorithm != "gcsl" for task in BRAX),
)
PAPER = tuple(f"{algorithm}_{task}_paper" for algorithm, task in WITH_PAPER)
EVERY_NAME = (*("_".join(pair) for pair in (*WITH_PAPER, *WITHOUT_PAPER)), *PAPER)

SMALL = {
    "replay.warmup": 2,
    "replay.capacity": 4,
    "env.num_envs": 1,
    "env.horizon": 3,
    "agent.hidden_sizes": (2,),
    "agent.batch_size": 2,
    "agent.updates_per_epoch": 1,
    "evaluation.episodes": 1,
}
FEW = {"flip_bit": {"env.size": 6}, "navigation": {"env.size": 3}}  # bits and dimensions


def small(name="hdm_push", **overrides):
    """What the name makes with a ring of four trajectories, of three steps each."""
    return presets.build(name, presets.config(name, SMALL | overrides))


def built(name, **overrides):
    """(config, setup), bits and dimensions few."""
    config = presets.config(name, FEW.get(presets.split(name)[1], {}) | overrides)
    return config, presets.build(name, config)
