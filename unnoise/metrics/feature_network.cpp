#include "unnoise/metrics/feature_network.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/core/fnv1a.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/io/torch_bin.h"
#include "unnoise/metrics/builtin_weights.h"
#include "unnoise/models/inception_v3.h"

namespace unnoise {
namespace {

constexpr const char *kOptionsKey = "unnoise.classifier", *kAboutKey = "unnoise.about";
constexpr int64_t kPixelsSide = 16;

/// Of all weights' bytes.
std::string hash_weights(const StateDict& weights) {
  Fnv1a hash;
  for (const auto& [name, tensor] : weights) {
    const Tensor bytes = tensor.detach().to(at::kFloat).cpu().contiguous();
    hash.add(bytes.const_data_ptr(), bytes.nbytes());
  }
  return fmt::format("{:016x}", hash.value());
}

std::string describe_adaptation(int64_t channels, int64_t size, int64_t to_channels, int64_t to_size) {
  std::string text;
  if (channels != to_channels) text = to_channels == 1 ? "colours turned to grey" : "grey repeated as RGB";
  if (size != to_size) text += fmt::format("{}{} pixels resized to {}", text.empty() ? "" : ", ", size, to_size);
  return text;
}

class ClassifierFeatures final : public FeatureNetwork {
 public:
  ClassifierFeatures(std::unique_ptr<Classifier> network, std::string name)
      : network_(std::move(network)), name_(std::move(name)), fingerprint_(hash_weights(network_->state())) {
    network_->requires_grad(false);
  }

  Tensor operator()(const Tensor& x) const override {
    c10::NoGradGuard no_grad;
    const auto& o = network_->options();
    return network_->features(adapt_pictures(x, o.channels, o.resolution).to(device_)).to(at::kCPU, at::kFloat);
  }
  std::string name() const override { return name_; }
  std::string adaptation(int64_t channels, int64_t size) const override {
    return describe_adaptation(channels, size, network_->options().channels, network_->options().resolution);
  }
  void to(at::Device device) override {
    network_->to(device);
    device_ = device;
  }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  std::unique_ptr<Classifier> network_;
  std::string name_, fingerprint_;
  at::Device device_ = at::kCPU;
};

class InceptionFeatures final : public FeatureNetwork {
 public:
  InceptionFeatures(const StateDict& weights, const std::string& where)
      : network_(weights, where), fingerprint_(hash_weights(weights)) {}

  Tensor operator()(const Tensor& x) const override {
    c10::NoGradGuard no_grad;
    return network_.features(x.size(1) == 1 ? x.expand({-1, 3, -1, -1}) : x).to(at::kCPU);
  }
  std::string name() const override { return "inception"; }
  std::string adaptation(int64_t channels, int64_t size) const override {
    return describe_adaptation(channels, size, 3, InceptionV3::kResolution);
  }
  void to(at::Device device) override { network_.to(device); }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  InceptionV3 network_;
  std::string fingerprint_;
};

/// No network at all.
class PixelFeatures final : public FeatureNetwork {
 public:
  Tensor operator()(const Tensor& x) const override {
    const int64_t side = std::min(x.size(2), kPixelsSide);
    return adapt_pictures(x, x.size(1), side).flatten(1).cpu();
  }
  std::string name() const override { return "pixels"; }
  std::string adaptation(int64_t channels, int64_t size) const override {
    return describe_adaptation(channels, size, channels, std::min(size, kPixelsSide));
  }
  void to(at::Device) override {}
  std::string fingerprint() const override { return "pixels"; }
};

bool ends_with_any(const std::string& name, std::initializer_list<const char*> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](const char* ending) { return name.ends_with(ending); });
}

/// The classifier in an opened file; nullptr when the file holds something else.
std::unique_ptr<Classifier> classifier_in(const SafetensorsFile& file, const std::string& where) {
  const auto described = file.metadata().find(kOptionsKey);
  if (described == file.metadata().end()) return nullptr;
  ClassifierOptions options;
  try {
    assign_json(options, parse_json(described->second, where), where);
    auto classifier = std::make_unique<Classifier>(options, nullptr);
    classifier->load_state(file.state(), where);
    return classifier;
  } catch (const Error& error) {
    throw data_error(error.message(), error.hint());  // a bad option in a file is the file's fault
  }
}

}  // namespace

Tensor adapt_pictures(const Tensor& x, int64_t channels, int64_t size) {
  Tensor h = x.to(at::kFloat);
  if (h.size(1) == 3 && channels == 1) {
    const Tensor luma = at::tensor({0.299, 0.587, 0.114}, h.options()).view({1, 3, 1, 1});
    h = (h * luma).sum(at::IntArrayRef{1}, /*keepdim=*/true);
  } else if (h.size(1) == 1 && channels == 3) {
    h = h.expand({-1, 3, -1, -1});
  } else if (h.size(1) != channels) {
    throw usage_error(fmt::format("pictures of {} channels: expected 1 or 3", h.size(1)));
  }
  if (h.size(2) != size || h.size(3) != size)
    h = at::_upsample_bilinear2d_aa(h.contiguous(), {size, size}, /*align_corners=*/false);
  return h.contiguous();
}

std::unique_ptr<FeatureNetwork> load_feature_network(const std::string& name_or_file) {
  if (name_or_file == "pixels") return std::make_unique<PixelFeatures>();
  if (name_or_file == "fmnist") {
    const std::string where = "the built-in feature network";
    return std::make_unique<ClassifierFeatures>(
        classifier_in(SafetensorsFile::parse(builtin_fmnist_weights(), where), where), "fmnist");
  }
  const bool pickled = ends_with_any(name_or_file, {".pt", ".pth", ".bin"});
  if (!pickled && !name_or_file.ends_with(".safetensors"))
    throw usage_error(fmt::format("--features: \"{}\": no such feature network", name_or_file),
                      "Take fmnist, pixels, or a file: what `unnoise classifier` made, or the Inception network's "
                      "weights (.safetensors, .pt, .pth).");
  StateDict weights;
  if (pickled) {
    weights = load_torch_bin(name_or_file);
  } else {
    const auto file = SafetensorsFile::open(name_or_file);
    if (auto classifier = classifier_in(file, name_or_file))
      return std::make_unique<ClassifierFeatures>(std::move(classifier), fs::path(name_or_file).stem().string());
    weights = file.state();
  }
  if (!InceptionV3::knows(weights))
    throw data_error(fmt::format("\"{}\": neither a classifier of unnoise nor the Inception network", name_or_file),
                     "A classifier is made by `unnoise classifier --data FOLDER --output FILE`.");
  return std::make_unique<InceptionFeatures>(weights, name_or_file);
}

void save_classifier(const std::string& file, const Classifier& classifier, const Json& about) {
  StateDict half = classifier.state();
  for (auto& [name, tensor] : half) tensor = tensor.detach().to(at::kCPU, at::kHalf);
  save_safetensors(file, half,
                   {{"format", "pt"},
                    {kOptionsKey, dump_json_line(to_json(classifier.options()))},
                    {kAboutKey, dump_json_line(about)}});
}

std::unique_ptr<Classifier> load_classifier(const std::string& file) {
  auto classifier = classifier_in(SafetensorsFile::open(file), file);
  if (!classifier)
    throw data_error(fmt::format("\"{}\": expected a classifier of unnoise", file),
                     "One is made by `unnoise classifier --data FOLDER --output FILE`.");
  return classifier;
}

}  // namespace unnoise
