"""Work directories of runs that a report, a comparison or a command reads: records by hand, and no training."""

from one_record import record

from hindsight_jax.runs.workdir import WorkDir

ENV = {"env": {"num_envs": 4, "threshold": 0.05}, "evaluation": {"episodes": 200, "every": 100}}


def make_run(path, name="hdm_push", curves=((0.2, 0.6), (0.4, 0.8)), total=200, finished=True, **values):
    """A work directory of seeds 7, 8, ... with a curve of success each."""
    workdir = WorkDir.create(path)
    workdir.write_config({"seed": 7, "total_steps": total, "agent": {"beta": 1.0, **values}, **ENV}, name=name)
    for i in range(len(curves[0])):
        records = [record(m, 100 * (i + 1), curve[i], q_mean=-1.0 - i) for m, curve in enumerate(curves)]
        workdir.append_records(records)
    if finished:
        workdir.write_summary(num_episodes=200, seconds={"train": 61.0}, policy_seed=8)
    return path
