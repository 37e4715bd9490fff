"""A start of each task that takes some, and one near it where no episode can begin."""

STARTS = {
    "door": ((-0.05, 0.6, 0.22), (-0.05, 0.6, 0.1)),  # the hand; below the handle
    "fetch_reach": ((1.3, 0.7, 0.5), (2.0, 0.7, 0.5)),  # the gripper; out of its workspace
    "flip_bit": ((0.0, 1.0, 1.0), (0.0, 0.5, 1.0)),  # three bits; no bit
    "four_rooms": ((0.3, 0.3), (0.0, 0.0)),  # the ball; in a wall
    "grid_four_rooms": ((2.0, 5.0), (0.0, 5.0)),  # a doorway; a wall
    "lunar_lander": ((0.2, 0.8, 0.1, -0.2, 0.3, 0.1), (0.2, -0.2, 0.1, -0.2, 0.3, 0.1)),  # in the air; in the ground
    "navigation": ((0.5, -0.5, 0.1), (1.5, -0.5, 0.1)),  # in the cube; out of it
    "point_mass": ((0.2, 0.2), (0.0, 0.0)),  # the ball; in a pillar
    "push": ((0.0, 0.6, 0.1, 0.6), (0.0, 0.6, 0.01, 0.6)),  # hand and puck; in one another
    "reacher": ((1.0, 2.0, 3.0, 4.0), (1.0, 3.1, 3.0, 4.0)),  # angles and speeds; beyond the elbow's limit
    "sawyer_reach": ((0.1, 0.6, 0.2), (0.1, 0.6, 0.5)),  # the hand; out of its workspace
}
SIZES = {"flip_bit": {"size": 3}, "navigation": {"size": 3}}  # overrides that these are for
