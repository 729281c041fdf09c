// Builds AnnotatedUNets and runs them, for test_annotated.py. The request lists cases:
//   {"block": "convnext", "dim": 16, "dim_mults": [1, 2], "channels": 1, "self_condition": true, "seed": 7,
//    "inputs": "in.safetensors" (x, t, target, x_self_cond), "output": "out.safetensors" (weights, output, gradients)}
#include <ATen/ops/mse_loss.h>

#include <cstdio>

#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"
#include "unnoise/core/json.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/models/annotated_unet.h"
#include "unnoise/nn/kernel_choice.h"

namespace {

using namespace unnoise;

void run_case(const Json& request) {
  const AnnotatedUNetOptions options{
      .block = request["block"] == "convnext" ? AnnotatedBlock::convnext : AnnotatedBlock::resnet,
      .dim = request["dim"],
      .dim_mults = request["dim_mults"],
      .channels = request["channels"],
      .self_condition = request.value("self_condition", false)};
  Rng rng(request["seed"].get<uint64_t>());
  const auto unet = make_annotated_unet(options, &rng);
  const auto inputs = SafetensorsFile::open(request["inputs"].get<std::string>());
  const auto input = [&](const char* name) { return inputs.contains(name) ? inputs.tensor(name) : Tensor(); };
  const Tensor y = (*unet)(input("x"), input("t"), input("x_self_cond"));
  at::mse_loss(y, input("target")).backward();
  StateDict out{{"output", y.detach()}};
  for (const auto& [name, tensor] : unet->state()) {
    out.emplace_back("weight." + name, tensor.detach());
    out.emplace_back("gradient." + name, tensor.grad().contiguous());
  }
  save_safetensors(request["output"].get<std::string>(), out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[2]) == "plain") set_kernel_choice(Kernels::plain);
  try {
    for (const Json& request : read_json(argv[1])) run_case(request);
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
