// What holds for every scheduler in the registry, for every number of steps and every spacing.
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/schedulers/dummies.h"
#include "unnoise/core/error.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

using testing::HasSubstr;

std::vector<std::string> spacings_of(const std::string& name) {
  const Json config = make_scheduler(name)->config();
  if (!config.contains("timestep_spacing")) return {""};
  return {"leading", "linspace", "trailing"};
}

Json with_spacing(const std::string& spacing) {
  return spacing.empty() ? Json::object() : Json{{"timestep_spacing", spacing}};
}

bool rises(const std::string& name) { return name.ends_with("_inverse"); }

/// By design: RePaint and Restart go back up, PNDM's warm-up goes to and fro, and methods that land below the next
/// level before they add noise ask the network there.
bool zigzags(const std::string& name) {
  static const std::set<std::string> names{"repaint",         "restart",          "pndm",
                                           "kdpm2_ancestral", "dpm_2s_ancestral", "karras_ve"};
  return names.contains(name);
}

StartOptions start_of(const std::string& name, int64_t steps) {
  StartOptions options{.steps = steps};
  if (name == "repaint")
    options.known = std::make_shared<KnownPixels>(
        KnownPixels{at::full({1, 3, 8, 8}, 0.5, at::kFloat), at::full({1, 3, 8, 8}, 0.0, at::kFloat)});
  return options;
}

/// Starts a run; a usage error is an answer too, but only for a reason that names a number of steps.
std::optional<Run> try_start(const Scheduler& scheduler, const std::string& name, int64_t steps) {
  try {
    return scheduler.start(start_of(name, steps));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << name << " " << steps;
    EXPECT_THAT(error.message(), HasSubstr("step")) << name << " " << steps;
    return std::nullopt;
  }
}

/// What a network says that keeps x at the size of noise, whatever its prediction means: a score is -x / sigma^2, and
/// karras_ve's network answers -eps.
Tensor sound_output(const std::string& name, const Tensor& seen) {
  if (name == "score_sde_ve") return -seen / seen.square().mean();
  if (name == "karras_ve") return -seen / seen.square().mean().sqrt();
  return seen * 0.9;
}

class EverySampler : public testing::TestWithParam<std::string> {};

TEST_P(EverySampler, HasAnHonestRow) {
  const auto& info = *find_sampler(GetParam()).info;
  const auto scheduler = make_scheduler(info.name);
  EXPECT_EQ(scheduler->class_name(), info.class_name);
  EXPECT_EQ(scheduler->config()["_class_name"], std::string(info.class_name));
  EXPECT_FALSE(info.paper.empty() || info.order.empty() || info.calls.empty() || info.when.empty());
  EXPECT_GE(info.usual_steps, 1);
  ASSERT_NO_THROW(scheduler->start(start_of(GetParam(), std::min(info.usual_steps, scheduler->num_train_timesteps()))));
}

TEST_P(EverySampler, GridsAreOrderedAndFiniteForEveryNumberOfSteps) {
  const std::string name = GetParam();
  for (const std::string& spacing : spacings_of(name)) {
    const auto scheduler = [&]() -> std::shared_ptr<const Scheduler> {
      try {
        return make_scheduler(name, with_spacing(spacing));
      } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("timestep_spacing"));  // a class may lack one
        return nullptr;
      }
    }();
    if (!scheduler) continue;
    const int64_t most = std::min<int64_t>(1000, scheduler->num_train_timesteps());
    int64_t refused = 0;
    for (int64_t steps = 1; steps <= most; ++steps) {
      // RePaint has thousands of steps: a few Ns do.
      if (name == "repaint" && steps > 20 && steps % 100 != 0) continue;
      const auto run = try_start(*scheduler, name, steps);
      if (!run) {
        ++refused;
        continue;
      }
      ASSERT_GE(run->steps().size(), 1u);
      double last = run->steps()[0].timestep.item<double>();
      for (const Step& step : run->steps()) {
        const double t = step.timestep.item<double>();
        ASSERT_TRUE(std::isfinite(t)) << name << " " << spacing << " N=" << steps;
        if (!zigzags(name)) {
          ASSERT_TRUE(rises(name) ? t >= last : t <= last)
              << name << " " << spacing << " N=" << steps << ": " << t << " after " << last;
        }
        last = t;
      }
      const auto sigmas = run->sigmas();
      for (const double sigma : sigmas) ASSERT_TRUE(std::isfinite(sigma)) << name << " " << spacing << " N=" << steps;
    }
    // Distilled models know the 50 steps of their teacher's grid; other methods may need a few steps at least.
    const bool is_distilled = scheduler->config().contains("original_inference_steps");
    EXPECT_LE(refused, is_distilled ? most - 50 : most / 20) << name << " " << spacing;
  }
}

TEST_P(EverySampler, LoopsStayFinite) {
  const std::string name = GetParam();
  for (const std::string& spacing : spacings_of(name)) {
    std::shared_ptr<const Scheduler> scheduler;
    try {
      scheduler = make_scheduler(name, with_spacing(spacing));
    } catch (const Error&) {
      continue;
    }
    for (const int64_t steps : {1, 2, 3, 4, 5, 7, 14, 15, 16, 61, 333, 999, 1000}) {
      if (steps > scheduler->num_train_timesteps()) continue;
      if (name == "repaint" && steps > 61) continue;
      auto run = try_start(*scheduler, name, steps);
      if (!run) continue;
      Rng rng(0);
      Tensor x = run->first({1, 3, 8, 8}, rng);
      for (const Step& step : run->steps()) {
        auto result = run->step(x, sound_output(name, run->input(x, step)), step, rng);
        ASSERT_EQ(result.prev_sample.sizes(), x.sizes()) << name;
        x = result.prev_sample;
      }
      ASSERT_TRUE(x.isfinite().all().item<bool>()) << name << " " << spacing << " N=" << steps;
    }
  }
}

TEST_P(EverySampler, ServesTwoRunsAtOnce) {
  const std::string name = GetParam();
  const auto scheduler = make_scheduler(name);
  const int64_t steps = std::min<int64_t>(7, scheduler->num_train_timesteps());
  const auto alone = [&](uint64_t seed) {
    Rng rng(seed);
    auto run = scheduler->start(start_of(name, steps));
    Tensor x = run.first({1, 3, 8, 8}, rng);
    for (const Step& step : run.steps()) x = run.next(x, run.input(x, step) * 0.9, step, rng);
    return x;
  };
  const Tensor a = alone(1), b = alone(2);

  Rng rng_a(1), rng_b(2);
  auto run_a = scheduler->start(start_of(name, steps)), run_b = scheduler->start(start_of(name, steps));
  Tensor xa = run_a.first({1, 3, 8, 8}, rng_a), xb = run_b.first({1, 3, 8, 8}, rng_b);
  for (size_t i = 0; i < std::max(run_a.steps().size(), run_b.steps().size()); ++i) {
    const auto one = [&](auto& run, Tensor& x, Rng& rng) {
      if (i >= run.steps().size()) return;
      const Step& step = run.steps()[i];
      const Tensor out = run.input(x, step) * 0.9;
      run.x0(x, out, step);  // looking at the clean picture changes nothing
      x = run.next(x, out, step, rng);
    };
    one(run_a, xa, rng_a);
    one(run_b, xb, rng_b);
  }
  EXPECT_TRUE(xa.equal(a)) << name;
  EXPECT_TRUE(xb.equal(b)) << name;
}

TEST_P(EverySampler, ItsConfigMakesTheSameScheduler) {
  const auto scheduler = make_scheduler(GetParam());
  EXPECT_EQ(scheduler_from_config(scheduler->config())->config(), scheduler->config());
}

TEST_P(EverySampler, RefusesWhatItHasNoUseFor) {
  const std::string name = GetParam();
  const auto scheduler = make_scheduler(name);
  const auto used = scheduler->run_options();
  const auto uses = [&](std::string_view option) { return std::find(used.begin(), used.end(), option) != used.end(); };
  StartOptions options = start_of(name, 5);
  options.timesteps = {{10, 0}};
  options.sigmas = {{10, 0}};
  EXPECT_THROW(scheduler->start(options), Error) << name;
  const std::vector<std::pair<std::string_view, void (*)(StartOptions&)>> settings{
      {"eta", [](StartOptions& o) { o.eta = 0.5; }},
      {"s_churn", [](StartOptions& o) { o.s_churn = 1; }},
      {"order", [](StartOptions& o) { o.order = 2; }},
      {"mu", [](StartOptions& o) { o.mu = 1; }},
      {"rtol", [](StartOptions& o) { o.rtol = 1e-2; }},
      {"strength", [](StartOptions& o) { o.strength = 0.5; }},
      {"jump_length", [](StartOptions& o) { o.jump_length = 1; }}};
  for (const auto& [option, set] : settings) {
    if (uses(option)) continue;
    StartOptions one = start_of(name, 5);
    set(one);
    EXPECT_THROW(scheduler->start(one), Error) << name << " " << option;
  }
}

std::vector<std::string> names() { return scheduler_names(); }

INSTANTIATE_TEST_SUITE_P(Samplers, EverySampler, testing::ValuesIn(names()),
                         [](const auto& info) { return info.param; });

TEST(Samplers, AliasesLeadSomewhere) {
  for (const SamplerAlias& alias : sampler_aliases()) {
    const auto found = find_sampler(alias.alias);
    EXPECT_EQ(found.info->name, alias.name);
    const auto scheduler = make_scheduler(alias.alias);
    for (const auto& [key, value] : found.config.items()) EXPECT_EQ(scheduler->config()[key], value) << alias.alias;
  }
  EXPECT_EQ(find_sampler("dpm++ 2m karras").info->name, "dpm_multistep");
  EXPECT_EQ(find_sampler("DPM++2M Karras").info->name, "dpm_multistep");
}

TEST(Samplers, NamesAreDistinct) {
  std::set<std::string_view> seen;
  for (const SamplerInfo& info : samplers()) {
    EXPECT_TRUE(seen.insert(info.name).second) << info.name;
    EXPECT_TRUE(seen.insert(info.class_name).second) << info.class_name;
  }
}

}  // namespace
}  // namespace unnoise
