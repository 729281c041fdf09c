#include "unnoise/recipes/train.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/nn/process_group.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/run_folder.h"
#include "unnoise/recipes/train_plan.h"
#include "unnoise/recipes/train_push.h"
#include "unnoise/recipes/trainer.h"

namespace unnoise {

namespace {

/// What rank 0 decides first; the others follow when its folder is open.
struct Beginning {
  TrainPlan plan;
  std::optional<fs::path> checkpoint;
  std::unique_ptr<RunFolder> folder;  ///< rank 0's
};

Beginning begin(const TrainOptions& options, bool is_main, const Observer& observer, const std::stop_token& stop) {
  Beginning begun{.plan = plan_training(options, observer), .checkpoint = {}, .folder = {}};
  auto existing = options.overwrite_output_dir ? RunFolder::Existing::replace : RunFolder::Existing::refuse;
  if (options.resume_from_checkpoint) {
    begun.checkpoint = find_checkpoint(options.output_dir, *options.resume_from_checkpoint);
    if (!begun.checkpoint && fs::exists(fs::path(options.output_dir) / "model_index.json"))
      throw usage_error(
          fmt::format("\"{}\" holds a finished model but no checkpoint to resume from", options.output_dir),
          "Train on from its weights with --pretrained into another --output-dir, or replace it with "
          "--overwrite-output-dir and without --resume-from-checkpoint.");
    if (!begun.checkpoint)
      observer.warn(
          fmt::format("\"{}\" holds no checkpoint to resume from: starting from the beginning", options.output_dir));
    existing = begun.checkpoint ? RunFolder::Existing::resume : RunFolder::Existing::replace;
  }
  if (!is_main) return begun;
  if (options.push_to_hub) prepare_push(options, observer, stop);
  begun.folder = std::make_unique<RunFolder>(options.output_dir, existing);
  return begun;
}

void check_processes(const TrainOptions& options) {
  for (const auto& [flag, value] : {std::pair{"--num-processes", options.num_processes.value_or(1)},
                                    {"--process-timeout", options.process_timeout}})
    if (value < 1) throw usage_error(fmt::format("{}: expected at least 1, found {}", flag, value));
  const int64_t there = options.processes.world_size, asked = options.num_processes.value_or(there);
  if (asked == there) return;
  throw usage_error(fmt::format("--num-processes {}: the training was started with {}", asked, there),
                    there > 1 ? "Leave it out, or let the launcher start as many."
                              : "Only `unnoise train` starts processes by itself; elsewhere use --num-processes 1, or "
                                "leave it out.");
}

/// Of the other processes only what rank 0 cannot know is shown.
Observer warnings_of(const std::string& name, const Observer& observer) {
  Observer own;
  own.on_log = [=](LogLevel level, const std::string& line) {
    if (level == LogLevel::warning) observer.warn(name + ": " + line);
  };
  return own;
}

JobStatus train_in(ProcessGroup& group, const TrainOptions& options, int64_t threads, const Observer& observer,
                   std::stop_token stop) {
  const Observer plans = group.is_main() ? observer : Observer();  // what they say of the plan rank 0 has said
  Beginning begun = group.main_first([&] { return begin(options, group.is_main(), plans, stop); });
  observer.info(fmt::format("device   {}, {} threads", begun.plan.device.str(), threads));
  return Trainer(options, std::move(begun.plan), begun.folder.get(), begun.checkpoint, group, observer).run(stop);
}

}  // namespace

JobStatus train(const TrainOptions& options, const Observer& observer, std::stop_token stop) {
  check_processes(options);
  const int64_t threads = use_machine(options, options.processes.local_world_size);
  ProcessGroup group(options.processes, std::chrono::seconds(options.process_timeout), observer);
  const std::string name = fmt::format("process {} of {}", group.rank(), group.size());
  try {
    return train_in(group, options, threads, group.is_main() ? observer : warnings_of(name, observer), stop);
  } catch (const Error& e) {
    group.fail(e.message());
    if (group.is_main()) throw;
    throw Error(e.kind(), name + ": " + e.message(), e.hint());
  } catch (const std::exception& e) {
    group.fail(e.what());
    throw;
  }
}

}  // namespace unnoise
