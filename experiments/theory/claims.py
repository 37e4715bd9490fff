"""The claims, in the order of the page."""

from collections.abc import Callable

from experiments.theory import (
    divergence_optimum,
    e_step,
    gradient_noise,
    her_reward,
    importance_weight,
    limits,
    mutual_information,
    noise_contrastive,
    online_to_offline,
    policy_improvement,
)
from experiments.theory.results import Claim

CLAIMS: dict[str, Callable[[], Claim]] = {
    "her_reward": her_reward.claim,
    "online_to_offline": online_to_offline.claim,
    "noise_contrastive": noise_contrastive.claim,
    "mutual_information": mutual_information.claim,
    "importance_weight": importance_weight.claim,
    "gradient_noise": gradient_noise.claim,
    "policy_improvement": policy_improvement.claim,
    "limits": limits.claim,
    "divergence_optimum": divergence_optimum.claim,
    "e_step": e_step.claim,
}
"""Key of a claim -> the function that measures it."""
