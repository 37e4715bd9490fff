"""Records of the evaluations of three members."""


def record(member=0, env_steps=100, success_end=0.5, **extra):
    return {
        "member": member,
        "seed": member + 7,
        "env_steps": env_steps,
        "updates": env_steps // 2,
        "success_end": success_end,
        "success_any": success_end,
        **extra,
    }


def evaluation(env_steps):
    return [record(member, env_steps, member / 10, q_mean=-1.0 * env_steps) for member in range(3)]
