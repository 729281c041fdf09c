#include "unnoise/models/model_summary.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

/// Appends `module` and all below it; returns its row's index.
size_t add_rows(const Module& module, const std::string& name, int64_t depth, const Trace& trace, ModelSummary& out) {
  const size_t at = out.rows.size();
  const Trace::Record* record = trace.find(module);
  out.rows.push_back(
      {.name = name, .description = module.describe(), .depth = depth, .parameters = module.num_parameters()});
  if (record) {
    out.rows[at].output = record->output;
    out.rows[at].multiply_adds = record->multiply_adds;
  }
  for (const auto& [child_name, child] : module.children()) {
    const size_t row = add_rows(*child, name.empty() ? child_name : name + "." + child_name, depth + 1, trace, out);
    out.rows[at].multiply_adds += out.rows[row].multiply_adds;
  }
  return at;
}

Tensor example_labels(const UNet2D& unet) {
  if (!unet.has_class_embedding()) return {};
  if (unet.options().class_embed_type == ClassEmbedType::identity)
    return at::zeros({1, unet.options().temb_channels()}, at::kFloat);
  return at::zeros({1}, at::kLong);
}

}  // namespace

ModelSummary summarize(const Module& root, const std::function<void()>& forward) {
  const c10::NoGradGuard no_grad;
  const Trace trace;
  forward();
  ModelSummary summary;
  add_rows(root, "", 0, trace, summary);
  summary.parameters = summary.rows[0].parameters;
  summary.multiply_adds = summary.rows[0].multiply_adds;
  return summary;
}

ModelSummary summarize(const UNet2D& unet, int64_t height, int64_t width) {
  const Tensor weight = unet.parameters()[0];  // its dtype and device are the network's
  const Tensor x = at::zeros({1, unet.options().in_channels, height, width}, weight.options().requires_grad(false));
  const Tensor timestep = at::zeros({}, at::kLong);
  const Tensor labels = example_labels(unet);
  return summarize(unet, [&] { unet(x, timestep, labels); });
}

}  // namespace unnoise
