"""A task on the host, in a few lines of NumPy: a walker on a line of integers, who observes the episode's seed."""

import jax.numpy as jnp
import numpy as np

from hindsight_jax import envs, types
from hindsight_jax.envs.host import Episodes

FAR = 3  # the places are -FAR .. FAR


class HostLine(envs.HostEnv):
    """Observation (place, seed % 1000), goal (place,); actions 0, 1, 2 go left, stay, go right. It ends at its goal."""

    def __init__(self, horizon=4, width=3, says_success=True):
        self.says_success, self.rounds = says_success, []  # rounds: the seeds of each call of `play`
        self._width = width
        self._spec = types.EnvSpec(
            observation_shape=(2,),
            goal_shape=(1,),
            action=types.Discrete(1, 3),
            horizon=horizon,
            threshold=0.5,
            ends_at_success=False,
            observation_range=types.Range((-FAR, 0.0), (FAR, 1000.0)),
            goal_range=types.Range((-FAR,), (FAR,)),
        )

    spec = property(lambda self: self._spec)
    width = property(lambda self: self._width)
    renders = True

    def distance(self, achieved, desired):
        return jnp.abs(achieved - desired)[..., 0]

    def play(self, policy, seeds, watch=None):
        self.rounds.append(seeds.tolist())
        parts = [self._one(policy, seeds, i) for i in range(len(seeds))]
        for t in range(self.spec.horizon + 1 if watch else 0):
            watch([np.full((9, 7, 3), 30 * t, np.uint8)] * len(seeds))
        return Episodes(*(None if part[0] is None else np.stack(part) for part in zip(*parts, strict=True)))

    def _one(self, policy, seeds, i):
        """Episode i. The policy is asked for all, and row i is taken: it may not depend on the others' rows."""
        steps = self.spec.horizon
        place, goal = np.random.default_rng(seeds[i]).integers(-FAR, FAR + 1, 2)
        states, actions = np.zeros((steps + 1, 2), np.float32), np.zeros((steps, 1), np.int32)
        success = np.zeros(steps, bool)
        states[0] = place, seeds[i] % 1000
        length = 0
        while length < steps and not success.any():
            seen = np.zeros((len(seeds), 2), np.float32)
            seen[i] = states[length]
            actions[length] = policy(length, seen, np.full((len(seeds), 1), goal, np.float32))[i]
            place = np.clip(place + actions[length, 0] - 1, -FAR, FAR)
            success[length], length = place == goal, length + 1
            states[length] = place, seeds[i] % 1000
        said = success if self.says_success else None
        count, ended = np.int32(length), np.bool_(success.any())
        return states, states[:, :1], actions, np.array([goal], np.float32), count, ended, said
