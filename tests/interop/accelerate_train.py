"""The reference of test_processes.py: a diffusers network trained by the real accelerate. Started by torchrun on each of its processes."""
import json
import sys

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

request = json.load(open(sys.argv[1]))
torch.set_num_threads(1)
accelerator = Accelerator(cpu=True)
model = UNet2DModel(**request["config"])
model.load_state_dict(load_file(request["weights"]))
optimizer = torch.optim.SGD(model.parameters(), lr=request["sgd"]["learning_rate"], momentum=request["sgd"]["momentum"])
model, optimizer = accelerator.prepare(model, optimizer)
scheduler = DDPMScheduler(num_train_timesteps=1000)
draws = load_file(request["draws"])
losses = []
for step in range(request["steps"]):
    x0, eps, t = (draws[f"{step}.{name}"].chunk(accelerator.num_processes)[accelerator.process_index] for name in ("x0", "eps", "t"))
    loss = torch.nn.functional.mse_loss(model(scheduler.add_noise(x0, eps, t), t).sample, eps)
    losses.append(accelerator.gather(loss.detach().reshape(1)).mean().item())
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), request["max_grad_norm"])
    optimizer.step()
    optimizer.zero_grad()
if accelerator.is_main_process:
    save_file({"losses": torch.tensor(losses, dtype=torch.float64), **{name: p.detach() for name, p in accelerator.unwrap_model(model).state_dict().items()}},
              request["output"])
accelerator.end_training()
