// Builds UNet2DModels and runs them, for test_unet.py. The request lists cases; a report on each comes out as JSON:
//   {"config": {...} | "preset": "mnist",
//    "seed": 7 | "weights": "x.safetensors" | "keep_weights": "x.safetensors" (where to write them),
//    "inputs": "in.safetensors" (sample, timesteps, class_labels, target), "output": "out.safetensors",
//    "gradients": true, "gradient_checkpointing": true, "dtype": "bfloat16"}
#include <ATen/ops/mse_loss.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <zlib.h>

#include <cstdio>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/nn/kernel_choice.h"

namespace {

using namespace unnoise;

/// Order, names and bits of the weights: [[name, crc32], ...].
Json fingerprints(const UNet2D& unet) {
  Json rows = Json::array();
  for (const auto& [name, tensor] : unet.state()) {
    const auto* bytes = static_cast<const Bytef*>(tensor.const_data_ptr());
    rows.push_back({name, crc32_z(0, bytes, tensor.nbytes())});
  }
  return rows;
}

Json run_case(const Json& request) {
  const UNet2DOptions options = request.contains("preset") ? unet2d_preset(request["preset"].get<std::string>())
                                                           : unet2d_options(request["config"]);
  std::optional<Rng> rng;
  if (request.contains("seed")) rng.emplace(request["seed"].get<uint64_t>());
  UNet2D unet(options, rng ? &*rng : nullptr);
  if (request.contains("weights")) {
    const std::string path = request["weights"];
    unet.load_state(SafetensorsFile::open(path).state(), path);
  }
  if (request.contains("keep_weights")) save_safetensors(request["keep_weights"].get<std::string>(), unet.state());
  Json report{{"config", unet2d_config(options)}, {"parameters", unet.num_parameters()}, {"state", fingerprints(unet)}};
  if (!request.contains("inputs")) return report;

  if (request.value("dtype", "float32") == "bfloat16") unet.to(at::kBFloat16);
  const auto inputs = SafetensorsFile::open(request["inputs"].get<std::string>());
  const auto input = [&](const char* name) { return inputs.contains(name) ? inputs.tensor(name) : Tensor(); };
  const bool gradients = request.value("gradients", false);
  unet.set_gradient_checkpointing(request.value("gradient_checkpointing", false));
  const at::AutoGradMode with_graph(gradients);
  const Tensor y = unet(input("sample"), input("timesteps"), input("class_labels"));
  StateDict out{{"output", y.detach().contiguous()}};
  if (gradients) {
    at::mse_loss(y, input("target")).backward();
    for (const auto& [name, tensor] : unet.named_parameters())
      if (tensor.grad().defined()) out.emplace_back("gradient." + name, tensor.grad().contiguous());
  }
  save_safetensors(request["output"].get<std::string>(), out);
  return report;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[2]) == "plain") set_kernel_choice(Kernels::plain);
  Json reports = Json::array();
  for (const Json& request : read_json(argv[1])) {
    try {
      reports.push_back(run_case(request));
    } catch (const Error& e) {
      reports.push_back({{"error", e.message()}, {"hint", e.hint()}});
    }
  }
  std::fputs(reports.dump().c_str(), stdout);
  return 0;
}
