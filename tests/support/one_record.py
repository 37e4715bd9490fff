"""A record of one evaluation of one member."""


def record(member=0, env_steps=100, success_end=0.5, **extra):
    return {
        "member": member,
        "seed": member + 7,
        "env_steps": env_steps,
        "updates": env_steps // 2,
        "success_end": success_end,
        "success_any": success_end + 0.05,
        **extra,
    }
