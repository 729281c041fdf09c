#include "unnoise/recipes/train_push.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/hub/client.h"
#include "unnoise/recipes/push.h"

namespace unnoise {
namespace {

/// As in the script: --hub-model-id, else the last part of --output-dir under the token's user.
std::string repository_of(const TrainOptions& o) {
  const fs::path folder = fs::absolute(o.output_dir).lexically_normal();
  return o.hub_model_id.value_or((folder.has_filename() ? folder : folder.parent_path()).filename().string());
}

}  // namespace

std::string prepare_push(const TrainOptions& options, const Observer& observer, std::stop_token stop) {
  const std::string name = repository_of(options);
  check_repository("--hub-model-id", name, true);
  HubClient client(hub_settings(options), observer, stop);
  const HubRepository repository = client.create_repository({name}, options.hub_private_repo);
  observer.info(fmt::format("push     {}{}", client.settings().endpoint, repository.page_path()));
  return repository.name;
}

void push_trained(const TrainOptions& options, int64_t epoch, bool is_last, const Observer& observer,
                  std::stop_token stop) {
  PushOptions push_options;
  push_options.hub = hub_settings(options);
  push_options.model = options.output_dir;
  push_options.repo = repository_of(options);
  push_options.is_private = options.hub_private_repo;
  push_options.commit_message = fmt::format("Epoch {}", epoch);
  try {
    push(push_options, observer, stop);
  } catch (const Error& e) {
    const std::string later = fmt::format("unnoise push --model {} --repo {}", options.output_dir, *push_options.repo);
    if (is_last)
      throw Error(e.kind(), fmt::format("{}. The model itself is whole, in \"{}\"", e.message(), options.output_dir),
                  fmt::format("Send it when the hub answers: {}", later));
    observer.warn(fmt::format("{}; training goes on", e.message()));
  }
}

}  // namespace unnoise
