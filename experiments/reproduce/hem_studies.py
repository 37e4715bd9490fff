"""The studies of hEM's paper (arXiv 2006.07549): states alone. docs/images.md has those from images."""

from typing import Any

from experiments.reproduce.studies import Cell, Claim, Run, Study, grid_cells

FIGURE_3 = "hem-figure-3"
BITS, DIMENSIONS, COLLECTED = (10, 25, 50), (2, 10, 20, 40, 80), (5, 10, 20, 40, 80)

# What the default schedule of the smaller tasks lacks at the larger ones; docs/results.md has the trials.
_LONG = {"total_steps": 800_000}
_FLIP: dict[tuple[str, int], dict[str, Any]] = {
    ("hem", 50): _LONG,
    ("her", 50): {"total_steps": 900_000, "relabel.absorbing": False},
}
_HPG = {"total_steps": 1_000_000, "evaluation.every": 50_000}
_NOISE = {2: 0.28, 10: 0.13, 20: 0.09, 40: 0.06, 80: 0.05}  # 0.4 / sqrt(K)


def _flip(algorithm: str, size: int) -> Run:
    tuned = _HPG if algorithm == "hpg" else _FLIP.get((algorithm, size), {})
    return Run(FIGURE_3, f"{algorithm}_flip_bit_{size}", f"{algorithm}_flip_bit", {"env.size": size}, tuned)


def _navigate(algorithm: str, size: int) -> Run:
    tuned = {"agent.noise": _NOISE[size]} if algorithm == "hem" else {}
    return Run(FIGURE_3, f"{algorithm}_navigation_{size}", f"{algorithm}_navigation", {"env.size": size}, tuned)


_FLIPS = {"hEM": "hem", "HER": "her", "HPG": "hpg"}
_MOVES = {"hEM": "hem", "HER": "her_ddpg"}


def _flips(better: str, worse: str, sizes: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((_flip(better, size).path, _flip(worse, size).path) for size in sizes)


figure_3 = Study(
    name=FIGURE_3,
    title="success over the size of the task",
    source="hEM, Figure 3",
    asks=(
        "On flip_bit hEM and HER are good at K = 50, where HPG fails; on navigation HER falls with K and hEM does not. "
        "HER there is DDPG with rewards of 0 and 1."
    ),
    cells=(
        *(Cell(_flip(a, size), row, str(size), "flip_bit") for row, a in _FLIPS.items() for size in BITS),
        *(Cell(_navigate(a, size), row, str(size), "navigation") for row, a in _MOVES.items() for size in DIMENSIONS),
    ),
    figure="sweep",
    claims=(
        Claim(
            "hEM reaches 0.9 on flip_bit at every K", "reaches", tuple((_flip("hem", k).path, "") for k in BITS), 0.9
        ),
        Claim(
            "HER reaches 0.9 on flip_bit at every K", "reaches", tuple((_flip("her", k).path, "") for k in BITS), 0.9
        ),
        Claim("hEM is above HPG on flip_bit at K = 50", "above", _flips("hem", "hpg", (50,))),
        Claim(
            "hEM reaches 0.9 on navigation at every K",
            "reaches",
            tuple((_navigate("hem", k).path, "") for k in DIMENSIONS),
            0.9,
        ),
        Claim(
            "hEM is above HER on navigation at K = 40 and 80",
            "above",
            tuple((_navigate("hem", k).path, _navigate("her_ddpg", k).path) for k in (40, 80)),
        ),
    ),
    quick=(
        *(_flip(algorithm, size).path for algorithm in ("hem", "hpg") for size in (25, 50)),
        _flip("her", 50).path,
        *(_navigate(algorithm, 80).path for algorithm in _MOVES.values()),
    ),
    axis="K",
)

FIGURE_4 = "hem-figure-4"
HANDS = ("fetch_reach", "sawyer_reach")
TASKS = ("point_mass", "reacher", *HANDS)
_REACHERS = {"hEM": "hem", "HER, rewards 0 and 1": "her_ddpg", "HER, rewards -1 and 0": "her_ddpg_dense"}


def _reaches(better: str, worse: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"{FIGURE_4}/{better}_{task}", f"{FIGURE_4}/{worse}_{task}") for task in TASKS)


def _lagging(task: str) -> Run:
    """HER with rewards of -1 and 0, and the steps of the target network that OpenAI's code has."""
    return Run(FIGURE_4, f"her_ddpg_dense_40_{task}", f"her_ddpg_dense_{task}", {"agent.target_period": 40})


def _free(task: str) -> Run:
    """HER with rewards of 0 and 1, and no penalty on the actor's actions, which only the hands have by default."""
    if task not in HANDS:
        return Run(FIGURE_4, f"her_ddpg_{task}", f"her_ddpg_{task}")
    return Run(FIGURE_4, f"her_ddpg_free_{task}", f"her_ddpg_{task}", {"agent.action_l2": 0.0})


figure_4 = Study(
    name=FIGURE_4,
    title="the reaching tasks, from states",
    source="hEM, Figure 4",
    asks="hEM is far above HER with rewards of 0 and 1, and level with HER with rewards of -1 and 0.",
    cells=(
        *grid_cells(FIGURE_4, _REACHERS, TASKS),
        *(Cell(_lagging(task), "-1 and 0, a target step every 40 updates", task) for task in TASKS),
        *(Cell(_free(task), "0 and 1, no penalty on actions", task) for task in TASKS),
    ),
    figure="curves",
    claims=(
        Claim("hEM is above HER (0, 1) on every task", "above", _reaches("hem", "her_ddpg")),
        Claim(
            "hEM is level with HER (-1, 0), to 0.05, on every task", "level", _reaches("hem", "her_ddpg_dense"), 0.05
        ),
        Claim(
            "HER (-1, 0) is worse on point_mass with a target step every 40 updates",
            "above",
            ((f"{FIGURE_4}/her_ddpg_dense_point_mass", _lagging("point_mass").path),),
        ),
        Claim(
            "HER (0, 1) is worse on both hands without a penalty on actions",
            "above",
            tuple((f"{FIGURE_4}/her_ddpg_{task}", _free(task).path) for task in HANDS),
        ),
    ),
    quick=(f"{FIGURE_4}/hem_point_mass", f"{FIGURE_4}/her_ddpg_dense_point_mass"),
)


def _collected(count: int) -> Run:
    values = {"env.size": 50, "env.num_envs": count}
    return Run("hem-figure-9a", f"n_{count}", "hem_flip_bit", values, _LONG)


figure_9a = Study(
    name="hem-figure-9a",
    title="trajectories of a collection",
    source="hEM, Figure 9a",
    asks="On flip_bit with K = 50, hEM learns better with a larger N, and slowly with N = 5.",
    cells=tuple(Cell(_collected(count), "hEM", str(count)) for count in COLLECTED),
    figure="sweep",
    claims=(
        Claim("N = 80 is above N = 5", "above", ((_collected(80).path, _collected(5).path),)),
        Claim("N = 20 is above N = 5", "above", ((_collected(20).path, _collected(5).path),)),
    ),
    quick=(_collected(5).path, _collected(80).path),
    axis="N",
)

_ROOMS = grid_cells("hem-figure-10", {"hEM": "hem", "HPG": "hpg"}, ("grid_four_rooms",))
_COMPARED = {"flip_bit, K 25": 25, "flip_bit, K 50": 50}
figure_10 = Study(
    name="hem-figure-10",
    title="hEM and HPG",
    source="hEM, Figure 10",
    asks="Level at K = 25; at K = 50 HPG does not learn; on grid_four_rooms it stays below hEM.",
    cells=(
        *(
            Cell(_flip(algorithm, size), row, column)
            for row, algorithm in (("hEM", "hem"), ("HPG", "hpg"))
            for column, size in _COMPARED.items()
        ),
        *_ROOMS,
    ),
    figure="curves",
    claims=(
        Claim("hEM is level with HPG, to 0.05, on flip_bit at K = 25", "level", _flips("hem", "hpg", (25,)), 0.05),
        Claim("hEM is above HPG on flip_bit at K = 50", "above", _flips("hem", "hpg", (50,))),
        Claim("hEM is above HPG on grid_four_rooms", "above", ((_ROOMS[0].run.path, _ROOMS[1].run.path),)),
    ),
    quick=(
        *(_flip(algorithm, size).path for algorithm in ("hem", "hpg") for size in (25, 50)),
        *(cell.run.path for cell in _ROOMS),
    ),
)

STUDIES = (figure_3, figure_4, figure_9a, figure_10)
