"""The methods of flow matching beside the installed diffusers: random configurations through whole sampling loops (see
scheduler_sweep.py).
"""
from diffusers import FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler, FlowMatchLCMScheduler
from scheduler_sweep import sweep

FLOW_SPACE = {
    "num_train_timesteps": [1000, 1000, 400],
    "shift": [1.0, 3.0, 0.6],
    "use_dynamic_shifting": [False, False, True],
    "time_shift_type": ["exponential", "linear"],
    "invert_sigmas": [False, False, False, True],
    "shift_terminal": [None, None, 0.1],
    "grid": [None, None, None, "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"],
}
FLOW_STARTS = {
    "mu": [None, 0.8, 1.15],
    "timesteps": [None, None, None, [400.0, 250.0, 100.5, 3.0]],
    "sigmas": [None, None, None, [1.0, 0.75, 0.5, 0.25], [0.9, 0.2]],
    "begin": [None, None, 1, 3],
}


def one_grid(case):
    """One of the grids at most, timesteps or sigmas, and no more steps left out than there are."""
    config, start = case["config"], case["start"]
    grid = config.pop("grid", None)
    if grid:
        config[grid] = True
    if "timesteps" in start and "sigmas" in start:
        return False
    count = start.get("steps") or len(start.get("timesteps") or start["sigmas"])
    if "begin" in start:
        start["begin"] = min(start["begin"], count - 1)
    return True


def one_step_at_the_noisy_end(case):
    """shift_terminal stretches by a factor that is then 0 / (1 - terminal): NaN in diffusers."""
    return "shift_terminal with one step" if case["config"]["shift_terminal"] and case["start"].get("steps") == 1 else None


def test_flow_euler(ours):
    space = {**FLOW_SPACE, "stochastic_sampling": [False, False, True]}

    def differs(case):
        if case["config"]["invert_sigmas"] and case["config"]["stochastic_sampling"]:
            return "diffusers mixes picture and noise by the inverted sigma, and ends in noise"
        return one_step_at_the_noisy_end(case)

    sweep(ours, FlowMatchEulerDiscreteScheduler, space, starts=FLOW_STARTS, cases=220, prepare=one_grid, differs=differs)


def test_flow_heun(ours):
    space = {"num_train_timesteps": [1000, 1000, 400], "shift": [1.0, 3.0, 0.6, 7.0]}
    starts = {"s_churn": [None, 5.0, 40.0], "s_tmin": [None, 0.2], "s_tmax": [None, 0.8], "s_noise": [None, 1.003],
              "begin": [None, None, 2, 4]}

    def prepare(case):
        if "begin" in case["start"]:
            case["start"]["begin"] = min(case["start"]["begin"], 2 * (case["start"]["steps"] - 1))

    def tolerance(case):
        # diffusers takes the slope from (x - (x - v s)) / s, which in float32 loses digits at s = 0.0006, where a long step
        # ends. Against the same loop in float64 it is 1e-4 off there with two steps, and unnoise, which takes v, 1e-7.
        return 1e-3 if case["start"]["steps"] <= 3 else 1e-4

    sweep(ours, FlowMatchHeunDiscreteScheduler, space, starts=starts, cases=120, prepare=prepare, tolerance=tolerance)


def inverted(case):
    if case["config"]["invert_sigmas"]:
        return "diffusers mixes picture and noise by the inverted sigma, and ends in noise"
    return one_step_at_the_noisy_end(case)


def test_flow_lcm(ours):
    sweep(ours, FlowMatchLCMScheduler, FLOW_SPACE, starts=FLOW_STARTS, cases=160, prepare=one_grid, differs=inverted)


def test_flow_lcm_grows_the_picture(ours):
    space = {
        "shift": [1.0, 3.0],
        "invert_sigmas": [False],
        "shift_terminal": [None],
        "scale_factors": [[1.0, 1.5, 2.0, 2.6], [0.5, 1.0, 2.0, 4.0]],
        "upscale_mode": ["nearest", "bilinear", "bicubic", "area", "nearest-exact"],
    }
    sweep(ours, FlowMatchLCMScheduler, space, steps=[5, 5, 5, 4], cases=60)
