"""Studies past both papers: gated imitation where actions are continuous, and a gate that ranks actions."""

from typing import Any

from experiments.reproduce.hdm_studies import TABLE_1, table_1
from experiments.reproduce.studies import Cell, Claim, Run, Study

GATES = "gates"
TASKS = ("four_rooms", "push")
# About as many updates as on four_rooms, where eight environments step for 50 updates, and here four. By then the rows
# are apart; the rest of the task's own 250,000 would take longest of all.
_PUSH_STEPS = 100_000
_BY_SUCCESS = {"relabel.rewards": "success"}
# row -> (algorithm, values)
_ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "hEM": ("hem", {}),
    "DDPG + HER": ("her_ddpg_dense", {}),
    "TD3 + HER": ("td3_her", {}),
    "SAC + HER": ("sac_her", {}),
    "CRL": ("crl", {}),
    "WGCSL": ("wgcsl", {}),
    "GCIVL": ("gcivl", {}),
    "HDM, critic of states": ("hdm_v", {}),
    "the same, no gate": ("hdm_v", {"agent.weighting": "none"}),
    "HDM, actor and critic": ("hdm_ac", {}),
    "the same, HDM's indicator": ("hdm_ac", {"agent.gate": "indicator"}),
    "the same, Q-filter": ("hdm_ac", {"agent.gate": "q_filter"}),
    "the same, every step imitated": ("hdm_ac", {"agent.gate": "always"}),
    "the same, nothing imitated": ("hdm_ac", {"agent.gate": "none"}),
    # asked when rows with rewards by index were seen to fail on push
    "by success: HDM, critic of states": ("hdm_v", _BY_SUCCESS),
    "by success: HDM, actor and critic": ("hdm_ac", _BY_SUCCESS),
    "by success: HDM's indicator": ("hdm_ac", _BY_SUCCESS | {"agent.gate": "indicator"}),
    "by success: nothing imitated": ("hdm_ac", _BY_SUCCESS | {"agent.gate": "none"}),
}


def _run(algorithm: str, task: str, values: dict[str, Any]) -> Run:
    """Its label is the name, with the values that are not the row's own."""
    others = "".join(f"_{value}" for value in values.values())
    tuned = {"total_steps": _PUSH_STEPS} if task == "push" else {}
    return Run(GATES, f"{algorithm}{others}_{task}", f"{algorithm}_{task}", values, tuned)


def _everywhere(better: str, worse: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"{GATES}/{better}_{task}", f"{GATES}/{worse}_{task}") for task in TASKS)


def _reaches(text: str, name: str) -> Claim:
    return Claim(text, "reaches", ((f"{GATES}/{name}_four_rooms", ""),), 0.9)


_CELLS = tuple(
    Cell(_run(algorithm, task, values), row, task) for row, (algorithm, values) in _ROWS.items() for task in TASKS
)
_OTHERS = {
    algorithm: row for row, (algorithm, _) in _ROWS.items() if not row.startswith(("HDM", "the same", "by success"))
}
gates = Study(
    name=GATES,
    title="imitation behind a gate where actions are continuous",
    source="Ours",
    asks=(
        "Whether gated imitation helps where actions are continuous, which HDM's paper leaves open: between "
        "four_rooms' walls, which tell the reaching algorithms apart, and on push; one schedule for each task. Push "
        "ends after about as many updates as four_rooms, at 100,000 of its own 250,000 env steps. By row the runs are "
        f"{', '.join(f'`{algorithm}`' for algorithm in dict.fromkeys(name for name, _ in _ROWS.values()))}."
    ),
    cells=_CELLS,
    figure="curves",
    claims=(
        _reaches("a critic of states and its gate reach 0.9 on four_rooms", "hdm_v"),
        _reaches("an actor with a gate reaches 0.9 on four_rooms", "hdm_ac"),
        _reaches("TD3 + HER, which imitates nothing, reaches 0.9 on four_rooms", "td3_her"),
        *(
            Claim(f"the critic of states is above {row}", "above", _everywhere("hdm_v", a))
            for a, row in _OTHERS.items()
        ),
        *(Claim(f"the gated actor is above {row}", "above", _everywhere("hdm_ac", a)) for a, row in _OTHERS.items()),
        Claim("the gate helps the actor: above no imitation", "above", _everywhere("hdm_ac", "hdm_ac_none")),
        Claim("the gate helps the actor: above all imitation", "above", _everywhere("hdm_ac", "hdm_ac_always")),
        Claim("progress is above HDM's indicator", "above", _everywhere("hdm_ac", "hdm_ac_indicator")),
        Claim("the gate helps the critic of states", "above", _everywhere("hdm_v", "hdm_v_none")),
        Claim(  # asked when the indicator was seen to be above progress
            "HDM's indicator helps the actor: above no imitation",
            "above",
            _everywhere("hdm_ac_indicator", "hdm_ac_none"),
        ),
        *(  # asked when rewards by index were seen to fail on push, before these were run
            Claim(f"rewards by success help {who}", "above", _everywhere(f"{name}_success", name))
            for who, name in (("the critic of states", "hdm_v"), ("the gated actor", "hdm_ac"))
        ),
        Claim(
            "by success, the gate helps the actor: above no imitation",
            "above",
            _everywhere("hdm_ac_success", "hdm_ac_success_none"),
        ),
        Claim(
            "by success, HDM's indicator helps the actor: above no imitation",
            "above",
            _everywhere("hdm_ac_success_indicator", "hdm_ac_success_none"),
        ),
    ),
    quick=tuple(f"{GATES}/{name}_four_rooms" for name in ("hdm_v", "hdm_ac", "hdm_ac_none")),
    has_paper=False,
)

PROGRESS = "progress"
_PROGRESS = Run(PROGRESS, "hdm_progress_push", "hdm_progress_push")
_OF_TABLE_1 = {"hdm": "HDM", "her": "HER (-1, 0)", "her_hbc": "HER + HBC"}
progress = Study(
    name=PROGRESS,
    title="a gate that ranks actions, on push",
    source="Ours",
    asks=(
        "HDM's test picks samples near the goal; that of `hdm_progress` steps that came closer to it, with one number "
        "for every task. The other runs are those of HDM's Table 1."
    ),
    cells=(
        Cell(_PROGRESS, "HDM, imitation of progress", "push"),
        *(cell for cell in table_1.cells if cell.column == "push" and cell.row in _OF_TABLE_1.values()),
    ),
    figure="curves",
    claims=(
        Claim(
            "imitation of progress is level with HDM, to 0.05",
            "level",
            ((_PROGRESS.path, f"{TABLE_1}/hdm_push"),),
            0.05,
        ),
        *(
            Claim(f"imitation of progress is above {row}", "above", ((_PROGRESS.path, f"{TABLE_1}/{name}_push"),))
            for name, row in _OF_TABLE_1.items()
            if name != "hdm"
        ),
    ),
    quick=(_PROGRESS.path, f"{TABLE_1}/hdm_push", f"{TABLE_1}/her_push"),
    has_paper=False,
)

STUDIES = (gates, progress)
