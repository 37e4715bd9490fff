"""Work directories of studies' runs, as a run leaves them, in no time."""

import json

from experiments.reproduce import studies
from hindsight_jax.runs import config_file
from hindsight_jax.runs.workdir import WorkDir


def leave(run, budget, folder, ends=None, share=1.0, finished=True):
    """The folder of a run in which each seed ended with one of `ends`, `share` of the way."""
    config = studies.config_of(run, budget)
    workdir = WorkDir.create(folder / run.path)
    workdir.write_config(config_file.to_json(config), name=studies.name_of(run, budget))
    values = ends or [0.5] * config["seeds"]
    assert len(values) == config["seeds"]
    for part in (0.5 * share, share):
        steps = int(part * config["total_steps"])
        common = {"env_steps": steps, "updates": steps, "seconds_train": 100.0 * part, "seconds_evaluate": 0.0}
        workdir.append_records(
            [{"member": i, "seed": i, "success_end": end, "success_any": end, **common} for i, end in enumerate(values)]
        )
    summary = {} if finished else {"interrupted": True}
    (workdir.path / "summary.json").write_text(json.dumps(summary))
    return workdir.path
