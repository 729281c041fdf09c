"""A scheduler made from another one's config: what diffusers keeps, drops and re-defaults, class by class."""
import json
import random

import diffusers
import pytest

pytestmark = pytest.mark.filterwarnings("ignore")
CLASSES = [
    "DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
    "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler", "DEISMultistepScheduler", "UniPCMultistepScheduler", "DPMSolverSDEScheduler",
    "EDMEulerScheduler", "EDMDPMSolverMultistepScheduler", "SASolverScheduler", "LCMScheduler", "TCDScheduler", "IPNDMScheduler",
    "FlowMatchEulerDiscreteScheduler", "DDIMInverseScheduler", "DPMSolverMultistepInverseScheduler",
]
GIVEN = {
    "num_train_timesteps": [1000, 400], "beta_start": [0.00085], "beta_end": [0.012], "beta_schedule": ["scaled_linear"],
    "prediction_type": ["v_prediction", "epsilon"], "timestep_spacing": ["trailing", "leading"], "steps_offset": [1],
    "clip_sample": [False], "set_alpha_to_one": [False], "skip_prk_steps": [True], "use_karras_sigmas": [True], "solver_order": [3],
    "sigma_max": [60.0], "shift": [3.0], "made_up": [[1, 2]], "final_sigmas_type": ["sigma_min"],
}


def clean(config):
    return {k: v for k, v in config.items() if k not in ("_diffusers_version", "_use_default_values", "_ignore_files")}


@pytest.mark.parametrize("source", CLASSES)
def test_a_config_becomes_every_other_class(driver, source):
    rng = random.Random(source)
    theirs, cases = [], []
    for target in rng.sample(CLASSES, 11):
        config = {k: rng.choice(v) for k, v in GIVEN.items() if rng.random() < 0.4}
        cls = getattr(diffusers, source)
        try:
            first = cls.from_config({"_class_name": source, **config})
            other = getattr(diffusers, target).from_config(first.config)
        except (ValueError, NotImplementedError):
            continue  # a combination that diffusers refuses
        theirs.append(json.loads(other.to_json_string()))
        cases.append({"config": {"_class_name": source, **config}, "to": target})
    assert len(cases) >= 5
    got = json.loads(driver("scheduler_driver", {"configs": cases}).stdout)["configs"]
    for case, mine, other in zip(cases, got, theirs):
        assert clean(mine) == clean(other), case
