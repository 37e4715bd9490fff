"""Data sets of trajectories: files and rings, into one another.

    collect         episodes of a policy, or of random actions, on a task
    save, load      this library's own file, which keeps every bit
    from_ring       what a replay ring holds
    to_ring         a ring that holds given trajectories
    read_flat       an npz file of steps with their episodes' ends marked, as OGBench has them
    write_flat      such a file
    read_minari     a data set of Minari (needs the extra `minari`)
    write_minari    such a data set

In between trajectories are a `types.Trajectory` of NumPy arrays [N, ...], padded with zeros to one horizon. Padding is
never read: only the first `length` actions and `length + 1` states of an episode count.
"""

from hindsight_jax.datasets.collecting import collect
from hindsight_jax.datasets.flat import read_flat, write_flat
from hindsight_jax.datasets.minari import read_minari, write_minari
from hindsight_jax.datasets.native import load, save, sha256
from hindsight_jax.datasets.rings import from_ring, to_ring

__all__ = [
    "collect",
    "from_ring",
    "load",
    "read_flat",
    "read_minari",
    "save",
    "sha256",
    "to_ring",
    "write_flat",
    "write_minari",
]
