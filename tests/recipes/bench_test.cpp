#include "unnoise/recipes/bench.h"

#include <gmock/gmock.h>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

BenchOptions small() {
  BenchOptions options;
  options.names = {"mnist"};
  options.batch_size = 1;
  options.num_inference_steps = 2;
  options.repeats = 2;
  options.threads = 1;
  return options;
}

TEST(Bench, TimesWhatWasAskedForInThatOrder) {
  BenchOptions options = small();
  options.json = true;
  options.what = {BenchTask::sample, BenchTask::train, BenchTask::forward};
  const Json report = Json::parse(bench(options).report);
  EXPECT_EQ(report.at("threads"), 1);
  std::vector<std::string> what;
  for (const Json& row : report.at("rows")) {
    what.push_back(row.at("what"));
    EXPECT_EQ(row.at("wall").size(), 2U);
    EXPECT_GT(row.at("wall_min").get<double>(), 0);
    EXPECT_LE(row.at("wall_min").get<double>(), row.at("wall_median").get<double>());
    EXPECT_GT(row.at("peak_memory").get<int64_t>(), 0);
  }
  EXPECT_EQ(what, (std::vector<std::string>{"sample", "train", "forward"}));
}

TEST(Bench, AStopEndsIt) {
  std::stop_source stop;
  stop.request_stop();
  const BenchResult result = bench(small(), {}, stop.get_token());
  EXPECT_EQ(result.status, JobStatus::interrupted);
  EXPECT_THAT(result.report, testing::Not(HasSubstr("mnist")));
}

TEST(Bench, RefusesWhatMakesNoSense) {
  const auto with = [](auto change) {
    BenchOptions options = small();
    change(options);
    return [options] { bench(options); };
  };
  EXPECT_THAT(with([](auto& o) { o.names = {"cifar"}; }), ThrowsMessage<Error>(HasSubstr("cifar10")));
  EXPECT_THAT(with([](auto& o) { o.repeats = 0; }), ThrowsMessage<Error>(HasSubstr("--repeats")));
  EXPECT_THAT(with([](auto& o) { o.batch_size = -1; }), ThrowsMessage<Error>(HasSubstr("--batch-size")));
  EXPECT_THAT(with([](auto& o) {
                o.mixed_precision = Precision::fp16;
                o.device = "cpu";
              }),
              ThrowsMessage<Error>(HasSubstr("fp16")));
}

TEST(Machine, SetsWhatTheOptionsSay) {
  MachineOptions options;
  options.kernels = Kernels::plain;
  options.deterministic = true;
  options.threads = 1;
  EXPECT_EQ(use_machine(options), 1);
  EXPECT_EQ(kernel_choice(), Kernels::plain);
  EXPECT_TRUE(deterministic());
  use_machine({});
  EXPECT_EQ(kernel_choice(), Kernels::fast);
  EXPECT_FALSE(deterministic());
}

}  // namespace
}  // namespace unnoise
