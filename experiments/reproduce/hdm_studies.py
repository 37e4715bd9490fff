"""The studies of HDM's paper (arXiv 2209.13046), and those of our defaults on its tasks."""

from typing import Any

from experiments.reproduce.studies import Cell, Claim, Run, Study, grid_cells
from hindsight_jax import presets

TABLE_1 = "hdm-table-1"
TASKS = ("four_rooms", "lunar_lander", "push", "door", "claw")
ROWS = {
    "GCSL": "gcsl",
    "HER (0, 1)": "her_01",
    "HER + SQL": "her_sql",
    "HER (-1, 0)": "her",
    "HER + HBC": "her_hbc",
    "HDM": "hdm",
}

# Success in percent, and its spread, as the paper prints them.
_PRINTED = {
    "GCSL": ((78.27, 4.76), (50.00, 7.77), (44.67, 13.86), (19.10, 5.97), (16.80, 6.55)),
    "HER (0, 1)": ((86.60, 4.22), (39.30, 6.81), (57.60, 6.61), (82.50, 4.87), (22.80, 6.43)),
    "HER + SQL": ((88.50, 4.56), (44.50, 9.61), (57.20, 6.32), (84.70, 5.33), (16.13, 8.43)),
    "HER (-1, 0)": ((86.40, 5.11), (50.80, 4.66), (54.60, 6.16), (83.76, 6.02), (20.20, 6.23)),
    "HER + HBC": ((82.90, 6.24), (35.33, 4.57), (52.63, 8.05), (76.44, 5.37), (16.93, 8.03)),
    "HDM": ((96.27, 2.56), (57.60, 7.21), (66.00, 5.13), (88.60, 4.63), (27.89, 6.46)),
}
PRINTED = {
    (row, task): (mean / 100, spread / 100)
    for row, cells in _PRINTED.items()
    for task, (mean, spread) in zip(TASKS, cells, strict=True)
}


def _path(algorithm: str, task: str) -> str:
    return f"{TABLE_1}/{algorithm}_{task}"


def _everywhere(better: str, worse: str, tasks: tuple[str, ...] = TASKS) -> tuple[tuple[str, str], ...]:
    return tuple((_path(better, task), _path(worse, task)) for task in tasks)


CELLS = grid_cells(TABLE_1, ROWS, TASKS)
_QUICK = tuple(_path(algorithm, "push") for algorithm in ("gcsl", "her", "hdm"))
_BY_PATH = {cell.run.path: cell.run for cell in CELLS}
HDM_PUSH, HER_PUSH, GCSL_PUSH = (_BY_PATH[_path(algorithm, "push")] for algorithm in ("hdm", "her", "gcsl"))

table_1 = Study(
    name=TABLE_1,
    title="six algorithms on five tasks",
    source="HDM, Table 1",
    asks="HDM is above each of the others on every task, and imitation of every step makes HER worse.",
    cells=CELLS,
    figure="curves",
    claims=(
        *(
            Claim(f"HDM is above {row} on every task", "above", _everywhere("hdm", algorithm))
            for row, algorithm in ROWS.items()
            if algorithm != "hdm"
        ),
        Claim("HER (-1, 0) is above HER + HBC on every task", "above", _everywhere("her", "her_hbc")),
    ),
    quick=_QUICK,
    printed=PRINTED,
)

figure_7 = Study(
    name="hdm-figure-7",
    title="gain over GCSL",
    source="HDM, Figure 7",
    asks="Of all, only HER (-1, 0) and HDM are above GCSL on every task. Its runs are those of Table 1.",
    cells=CELLS,
    figure="gain",
    claims=tuple(
        Claim(f"{row} is above GCSL on every task", "above", _everywhere(algorithm, "gcsl"))
        for row, algorithm in ROWS.items()
        if algorithm != "gcsl"
    ),
    quick=_QUICK,
)

figure_8 = Study(
    name="hdm-figure-8",
    title="success against the initial change ratio",
    source="HDM, Figure 8",
    asks=(
        "Where random play seldom changes what is achieved (push, door), GCSL stays low, and HER and HDM do not. "
        "Its runs are those of Table 1; the ratios are `change_ratio` in `experiments/results/environments.json`."
    ),
    cells=CELLS,
    figure="ratio",
    claims=tuple(
        Claim(f"{row} is above GCSL where the ratio is low", "above", _everywhere(algorithm, "gcsl", ("push", "door")))
        for row, algorithm in (("HER (-1, 0)", "her"), ("HDM", "hdm"))
    ),
    quick=_QUICK,
)


def _sweep(
    study: str, field: str, values: tuple[float, ...], default: float, of: Run = HDM_PUSH, row: str = "HDM"
) -> tuple[Cell, ...]:
    """Cells of a run of Table 1 at each value of a field, in the field's panel; the run itself at its default."""
    short = field.rpartition(".")[2]
    label = short if of is HDM_PUSH else f"{presets.split(of.name)[0]}_{short}"
    run = lambda value: Run(study, f"{label}_{value:g}", of.name, {field: value})
    return tuple(
        Cell(of if value == default else run(value), row, f"{value:g}", short) for value in sorted((*values, default))
    )


def _lines(*panels: str) -> tuple[Cell, ...]:
    """HER and GCSL, which know none of the swept fields, as lines."""
    rows = (("HER (-1, 0)", HER_PUSH), ("GCSL", GCSL_PUSH))
    return tuple(Cell(run, row, "", panel) for panel in panels for row, run in rows)


def _above_lines(field: str, cells: tuple[Cell, ...]) -> tuple[Claim, ...]:
    paths = tuple(cell.run.path for cell in cells)
    return tuple(
        Claim(f"HDM is above {row} at every {field}", "above", tuple((path, run.path) for path in paths))
        for row, run in (("HER (-1, 0)", HER_PUSH), ("GCSL", GCSL_PUSH))
    )


_GAMMAS = _sweep("hdm-figure-10", "agent.gamma_hdm", (0.3, 0.4, 0.7, 0.85, 0.95), 0.5)
_BETAS = _sweep("hdm-figure-10", "agent.beta", (0.25, 0.5, 2.0, 4.0), 1.0)
_WEIGHTS = _sweep("hdm-figure-10", "agent.imitation_weight", (0.25, 0.5, 2.0, 4.0), 1.0)
figure_10 = Study(
    name="hdm-figure-10",
    title="gamma_hdm and beta",
    source="HDM, Figure 10",
    asks=(
        "On push, HDM is above HER and GCSL at many values of gamma_hdm and beta. The paper's beta [D 14] weighs the "
        "reward for reaching a goal, and imitation; its code has a weight of imitation alone, `agent.imitation_weight`."
    ),
    cells=(*_GAMMAS, *_BETAS, *_WEIGHTS, *_lines("gamma_hdm", "beta", "imitation_weight")),
    figure="sweep",
    claims=(
        *_above_lines("gamma_hdm", _GAMMAS),
        *_above_lines("beta", _BETAS),
        *_above_lines("imitation_weight", _WEIGHTS),
        Claim(  # ours, asked after the runs were seen
            "four times the weight of imitation is better",
            "above",
            (("hdm-figure-10/imitation_weight_4", HDM_PUSH.path),),
        ),
    ),
    quick=(*_QUICK, "hdm-figure-10/gamma_hdm_0.3"),
)

_HER = (HER_PUSH, "HER (-1, 0)")
_SHARES = (
    *_sweep("shares", "relabel.next_state", (0.0, 0.2, 0.4, 0.8), 0.6),
    *_sweep("shares", "relabel.next_state", (0.0,), 0.6, *_HER),
    *_sweep("shares", "relabel.behaviour", (0.0, 0.3, 0.5), 0.15),
    *_sweep("shares", "relabel.behaviour", (0.0,), 0.15, *_HER),
)
shares = Study(
    name="shares",
    title="how many goals are next states, and how many are the episode's own",
    source="Ours",
    asks="On push, how much HDM and HER depend on the shares of their goals: the paper has 0.6 and 0.15.",
    cells=_SHARES,
    figure="sweep",
    claims=(
        Claim("HDM without next states as goals is worse", "above", ((HDM_PUSH.path, "shares/next_state_0"),)),
        Claim(
            "HDM without the episode's own goals is as good", "level", ((HDM_PUSH.path, "shares/behaviour_0"),), 0.05
        ),
        Claim(  # asked when HDM was seen to be better without
            "HDM is above HER (-1, 0), both without next states as goals",
            "above",
            (("shares/next_state_0", "shares/her_next_state_0"),),
        ),
    ),
    quick=(HDM_PUSH.path, "shares/next_state_0"),
)

_CHANGES: dict[str, dict[str, Any]] = {
    "no hindsight bound": {"agent.hindsight_bound": False},
    "inputs in metres": {"agent.scale_inputs": False},
    "a target step every 10 updates": {"agent.target_period": 10},
    "learning rate 5e-4": {"agent.learning_rate": 5e-4},
    "layers of 400 and 300": {"agent.hidden_sizes": (400, 300)},
    "one episode for 50 updates": {"env.num_envs": 1, "total_steps": 70_000},  # as many updates
}
_ABLATED = tuple(
    Cell(Run("defaults", f"{next(iter(values)).rpartition('.')[2]}", "hdm_push", values), change, "push")
    for change, values in _CHANGES.items()
)
defaults = Study(
    name="defaults",
    title="what each change of the default schedule adds",
    source="Ours",
    asks="The default of hdm_push with one of its changes to the paper's schedule undone.",
    cells=(Cell(HDM_PUSH, "the default", "push"), *_ABLATED),
    figure="curves",
    claims=tuple(
        Claim(f"the default is above: {cell.row}", "above", ((HDM_PUSH.path, cell.run.path),)) for cell in _ABLATED
    ),
    quick=(HDM_PUSH.path, "defaults/hindsight_bound"),
    has_paper=False,
)

STUDIES = (table_1, figure_7, figure_8, figure_10, shares, defaults)
