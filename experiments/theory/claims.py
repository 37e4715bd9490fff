"""The claims, in the order of the page."""

from collections.abc import Callable

from experiments.theory import (
    boltzmann,
    control_variate,
    divergence_optimum,
    e_step,
    elbo,
    energy_fixed_point,
    evidence,
    gradient_noise,
    her_reward,
    importance_weight,
    indicator,
    indicator_ratio,
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
    "evidence": evidence.claim,
    "elbo": elbo.claim,
    "control_variate": control_variate.claim,
    "energy_fixed_point": energy_fixed_point.claim,
    "boltzmann": boltzmann.claim,
    "indicator_ratio": indicator_ratio.claim,
    "indicator": indicator.claim,
}
"""Key of a claim -> the function that measures it."""
