#include "unnoise/recipes/ema_snapshots.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <tuple>

#include "unnoise/core/error.h"
#include "unnoise/io/safetensors.h"

namespace unnoise {
namespace {

constexpr const char* kFolder = "ema";
constexpr const char* kModelFile = "model.json";

template <class T>
T metadata_number(const SafetensorsFile& file, const char* key, const fs::path& where) {
  const auto found = file.metadata().find(key);
  T value{};
  if (found != file.metadata().end()) {
    const std::string& text = found->second;
    const auto [at, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec == std::errc() && at == text.data() + text.size() && value > 0) return value;
  }
  throw data_error(fmt::format("\"{}\" is not a snapshot of an average: its metadata have no {}", where.string(), key),
                   "Snapshots are what unnoise train --ema-sigma-rel writes into the run's ema folder.");
}

EmaSnapshot read_snapshot(const fs::path& path) {
  const auto file = SafetensorsFile::open(path);
  return {.file = path,
          .step = metadata_number<int64_t>(file, "step", path),
          .images = metadata_number<int64_t>(file, "images", path),
          .sigma_rel = metadata_number<double>(file, "sigma_rel", path)};
}

Tensor stored(const Tensor& average, SnapshotDtype dtype) {
  if (dtype == SnapshotDtype::float32) return average;
  const Tensor half = average.to(at::kHalf);
  return half.isfinite().all().item<bool>() ? half : average;
}

}  // namespace

int64_t snapshot_count(const SnapshotPlan& plan, int64_t total_updates) {
  if (plan.sigma_rel.empty()) return 0;
  return (total_updates + plan.every - 1) / plan.every * static_cast<int64_t>(plan.sigma_rel.size());
}

double snapshot_bytes(const SnapshotPlan& plan, int64_t total_updates, int64_t num_parameters) {
  const double width = plan.dtype == SnapshotDtype::float16 ? 2 : 4;
  return width * static_cast<double>(num_parameters) * static_cast<double>(snapshot_count(plan, total_updates));
}

void save_ema_snapshot(const fs::path& run, const Ema& average, int64_t step, SnapshotDtype dtype) {
  const double sigma_rel = average.options().sigma_rel.value();
  StateDict tensors;
  for (const auto& [name, tensor] : average.state()) tensors.emplace_back(name, stored(tensor, dtype));
  make_folders(run / kFolder);
  save_safetensors(run / kFolder / fmt::format("step-{:06}-sigma-{}.safetensors", step, sigma_rel), tensors,
                   {{"format", "pt"},
                    {"step", std::to_string(step)},
                    {"images", std::to_string(average.images())},
                    {"sigma_rel", fmt::format("{}", sigma_rel)}});
}

void save_snapshot_model(const fs::path& run, const Json& unet_config, const Json& scheduler_config,
                         bool self_conditioning) {
  make_folders(run / kFolder);
  write_json(run / kFolder / kModelFile,
             {{"unet", unet_config}, {"scheduler", scheduler_config}, {"self_conditioning", self_conditioning}});
}

Json load_snapshot_model(const fs::path& run) {
  const fs::path path = run / kFolder / kModelFile;
  const Json model = read_json(path);
  for (const char* key : {"unet", "scheduler"})
    if (!model.is_object() || !model.contains(key) || !model.at(key).is_object())
      throw data_error(fmt::format("\"{}\": \"{}\" is missing", path.string(), key));
  return model;
}

std::vector<EmaSnapshot> list_ema_snapshots(const fs::path& run) {
  std::vector<EmaSnapshot> out;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(run / kFolder, ec))
    if (entry.path().extension() == ".safetensors") out.push_back(read_snapshot(entry.path()));
  std::sort(out.begin(), out.end(), [](const EmaSnapshot& a, const EmaSnapshot& b) {
    return std::tie(a.images, a.sigma_rel) < std::tie(b.images, b.sigma_rel);
  });
  return out;
}

void remove_snapshots_after(const fs::path& run, int64_t step) {
  std::error_code ec;
  for (const EmaSnapshot& snapshot : list_ema_snapshots(run))
    if (snapshot.step > step) fs::remove(snapshot.file, ec);
}

StateDict combine_snapshots(std::span<const EmaSnapshot> snapshots, std::span<const double> weights) {
  if (snapshots.empty() || snapshots.size() != weights.size())
    throw usage_error(fmt::format("{} snapshots with {} weights", snapshots.size(), weights.size()));
  std::vector<SafetensorsFile> files;
  for (const EmaSnapshot& snapshot : snapshots) files.push_back(SafetensorsFile::open(snapshot.file));
  StateDict out;
  for (const std::string& name : files.front().names()) {
    Tensor sum;
    for (size_t i = 0; i < files.size(); ++i) {
      const Tensor part = files[i].tensor(name).to(at::kDouble);
      if (!sum.defined()) sum = at::zeros(part.sizes(), at::kDouble);
      if (part.sizes() != sum.sizes())
        throw data_error(fmt::format("\"{}\": \"{}\" has another shape than in \"{}\"", snapshots[i].file.string(),
                                     name, snapshots.front().file.string()),
                         "The folder holds snapshots of two networks.");
      sum.add_(part, weights[i]);
    }
    out.emplace_back(name, sum.to(at::kFloat));
  }
  return out;
}

}  // namespace unnoise
