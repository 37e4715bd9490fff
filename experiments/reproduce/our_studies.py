"""Studies past both papers: gated imitation where actions are continuous, and a gate that ranks actions."""

from typing import Any

from experiments.reproduce.hdm_studies import TABLE_1, table_1
from experiments.reproduce.studies import Cell, Claim, Run, Study

GATES = "gates"
# row -> (algorithm, values)
_ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "hEM": ("hem", {}),
    "DDPG + HER": ("her_ddpg_dense", {}),
    "TD3 + HER": ("td3_her", {}),
    "WGCSL": ("wgcsl", {}),
    "GCIVL": ("gcivl", {}),
    "HDM, critic of states": ("hdm_v", {}),
    "HDM, critic of states, no gate": ("hdm_v", {"agent.weighting": "none"}),
    "HDM, actor and critic": ("hdm_ac", {}),
    "the same, HDM's indicator": ("hdm_ac", {"agent.gate": "indicator"}),
    "the same, Q-filter": ("hdm_ac", {"agent.gate": "q_filter"}),
    "the same, every step imitated": ("hdm_ac", {"agent.gate": "always"}),
    "the same, nothing imitated": ("hdm_ac", {"agent.gate": "none"}),
}


def _run(study: str, algorithm: str, task: str, values: dict[str, Any], more: dict[str, Any]) -> Run:
    """Its label is the name, and the gate where that is not the row's own."""
    gate = "".join(f"_{value}" for value in values.values())
    return Run(study, f"{algorithm}{gate}_{task}", f"{algorithm}_{task}", more | values)


def _cells(task: str, more: dict[str, Any]) -> tuple[Cell, ...]:
    """A cell for each row that stands for an algorithm with continuous actions."""
    return tuple(
        Cell(_run(GATES, algorithm, task, values, more), row, task) for row, (algorithm, values) in _ROWS.items()
    )


def _path(name: str) -> str:
    return f"{GATES}/{name}_four_rooms"


_BEST = ("hdm_v", "hdm_ac")
_OTHERS = {"hem": "hEM", "her_ddpg_dense": "DDPG + HER", "td3_her": "TD3 + HER", "wgcsl": "WGCSL", "gcivl": "GCIVL"}
gates = Study(
    name=GATES,
    title="continuous actions between four_rooms' walls",
    source="Ours",
    asks=(
        "Whether imitation behind a gate helps where actions are continuous, which HDM's paper leaves open: "
        "the task that tells the reaching algorithms apart, 200,000 env steps, one schedule."
    ),
    cells=_cells("four_rooms", {}),
    figure="curves",
    claims=(
        Claim("a critic of states and its gate reach 0.9", "reaches", ((_path("hdm_v"), ""),), 0.9),
        Claim("an actor with a gate reaches 0.9", "reaches", ((_path("hdm_ac"), ""),), 0.9),
        *(
            Claim(f"both are above {row}", "above", tuple((_path(better), _path(algorithm)) for better in _BEST))
            for algorithm, row in _OTHERS.items()
        ),
        Claim("the gate helps the actor: above no imitation", "above", ((_path("hdm_ac"), _path("hdm_ac_none")),)),
        Claim("the gate helps the actor: above all imitation", "above", ((_path("hdm_ac"), _path("hdm_ac_always")),)),
        Claim("progress is above HDM's indicator", "above", ((_path("hdm_ac"), _path("hdm_ac_indicator")),)),
        Claim("the gate helps the critic of states", "above", ((_path("hdm_v"), _path("hdm_v_none")),)),
    ),
    quick=(_path("hdm_v"), _path("hdm_ac"), _path("hdm_ac_none")),
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
