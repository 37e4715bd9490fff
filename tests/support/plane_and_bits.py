"""Two goal environments of Gymnasium's kind in NumPy, and one whose numbers say where they come from."""

import gymnasium
import numpy as np
from gymnasium import spaces


class GoalGymnasium(gymnasium.Env):
    """What the environments here share: a state and a goal drawn by the seeded generator, and sparse rewards."""

    threshold = 0.5
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - Gymnasium's own type

    def __init__(self, size, action_space, low, high, render_mode=None):
        box = spaces.Box(low, high, (size,), np.float64)
        self.observation_space = spaces.Dict({"observation": box, "achieved_goal": box, "desired_goal": box})
        self.action_space, self.render_mode = action_space, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.now, self.goal = self.draw(), self.draw()
        return self.seen(), {}

    def step(self, action):
        self.now = self.moved(action)
        reward = self.compute_reward(self.now, self.goal, {})
        return self.seen(), reward, False, False, {"is_success": reward == 0.0}

    def seen(self):
        return {"observation": self.now.copy(), "achieved_goal": self.now.copy(), "desired_goal": self.goal.copy()}

    def compute_reward(self, achieved, desired, info):
        return -(np.linalg.norm(np.asarray(achieved) - desired, axis=-1) >= self.threshold).astype(np.float64)

    def render(self):
        return np.full((20, 30, 3), 80, np.uint8)


class Bits(GoalGymnasium):
    """Four bits, one of which an action flips."""

    def __init__(self, size=4, render_mode=None):
        super().__init__(size, spaces.Discrete(size), 0.0, 1.0, render_mode)
        self.size = size

    def draw(self):
        return self.np_random.integers(2, size=self.size).astype(np.float64)

    def moved(self, action):
        return np.where(np.arange(self.size) == action, 1.0 - self.now, self.now)


class Plane(GoalGymnasium):
    """A point in a square that an action moves by up to a quarter in x and y: a Box, or MultiDiscrete of three bins."""

    threshold = 0.15

    def __init__(self, actions="discrete", render_mode=None):
        kinds = {"discrete": spaces.MultiDiscrete([3, 3]), "continuous": spaces.Box(-0.25, 0.25, (2,), np.float64)}
        super().__init__(2, kinds[actions], -1.0, 1.0, render_mode)
        self.scale = 0.25 if actions == "discrete" else 1.0

    def draw(self):
        return self.np_random.uniform(-1.0, 1.0, 2)

    def moved(self, action):
        move = np.asarray(action) - 1 if self.scale != 1.0 else np.asarray(action)
        return np.clip(self.now + self.scale * move, -1.0, 1.0)


class Counting(gymnasium.Env):
    """The observation is (seed, step, action before), the goal (seed,); without a seed it is -7.

    An episode of seed s is over after `ends(s)` steps; `terminated` where `by_success(s)`, else `truncated`.
    """

    def __init__(self, ends=lambda seed: 3, by_success=lambda seed: True):
        box = lambda size: spaces.Box(-np.inf, np.inf, (size,), np.float64)
        self.observation_space = spaces.Dict({"observation": box(3), "achieved_goal": box(1), "desired_goal": box(1)})
        self.action_space = spaces.Discrete(5, start=10)
        self.ends, self.by_success = ends, by_success

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.steps, self.before = -7 if seed is None else seed % 1000, 0, -1
        return self.seen(), {}

    def step(self, action):
        self.steps, self.before = self.steps + 1, action
        over, good = self.steps >= self.ends(self.seed), self.by_success(self.seed)
        return self.seen(), 0.0, over and good, over and not good, {}

    def seen(self):
        array = lambda *numbers: np.array(numbers, np.float64)
        return {
            "observation": array(self.seed, self.steps, self.before),
            "achieved_goal": array(self.steps),
            "desired_goal": array(self.seed),
        }
