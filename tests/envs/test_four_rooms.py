"""four_rooms against C MuJoCo, its law in the open, its walls, and its goals."""

import physics_contract

play = physics_contract.play_of("four_rooms")


class TestContract(physics_contract.PhysicsContract):
    tolerances = ((1e-8, 1e-7), (1e-6, 1e-4), (1e-5, 1e-3))
    boxes = (("start", 2), ("goal", 2))
