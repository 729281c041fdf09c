#include "unnoise/recipes/schedule.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/data/temporary_folder.h"
#include "unnoise/recipes/evenly_spaced.h"
#include "unnoise/recipes/schedule_table.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using enum ScheduleCurve;

ScheduleOptions options(const std::vector<std::string>& names) {
  ScheduleOptions o;
  o.names = names;
  return o;
}

Json json_of(ScheduleOptions o) {
  o.json = true;
  return Json::parse(show_schedules(o).text)["schedules"];
}

std::vector<double> numbers(const Json& list) {
  std::vector<double> out;
  for (const Json& value : list) out.push_back(value.is_null() ? INFINITY : value.get<double>());
  return out;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

TEST(EvenlySpaced, HoldsBothEnds) {
  EXPECT_THAT(evenly_spaced(1000, 4), ElementsAre(0, 333, 666, 999));
  EXPECT_THAT(evenly_spaced(3, 10), ElementsAre(0, 1, 2));
  EXPECT_THAT(evenly_spaced(50, 1), ElementsAre(0));
  EXPECT_THAT(evenly_spaced(0, 5), ElementsAre());
}

TEST(Schedule, LinearIsTheProductOfOneMinusBeta) {
  ScheduleOptions o = options({"linear"});
  o.curves = {sqrt_alphas_cumprod, sqrt_one_minus_alphas_cumprod, log_snr, sigmas, alphas_cumprod, betas};
  const Json table = json_of(o)[0];
  EXPECT_EQ(table["scheduler"], "DDPMScheduler");
  ASSERT_EQ(table["timesteps"].size(), 1000u);
  double abar = 1;
  for (size_t t = 0; t < 1000; ++t) {
    const double beta = 1e-4 + (0.02 - 1e-4) * static_cast<double>(t) / 999;
    abar *= 1 - beta;
    EXPECT_EQ(table["timesteps"][t], static_cast<double>(t));
    EXPECT_NEAR(table["betas"][t], beta, 1e-8);
    EXPECT_NEAR(table["alphas_cumprod"][t].get<double>() / abar, 1, 1e-4);  // float32 products
    EXPECT_NEAR(table["sqrt_alphas_cumprod"][t].get<double>() / std::sqrt(abar), 1, 1e-4);
    EXPECT_NEAR(table["sqrt_one_minus_alphas_cumprod"][t], std::sqrt(1 - abar), 1e-4);
    EXPECT_NEAR(table["log_snr"][t], std::log(abar / (1 - abar)), 1e-3);
    EXPECT_NEAR(table["sigmas"][t].get<double>() / std::sqrt((1 - abar) / abar), 1, 1e-3);
  }
}

TEST(Schedule, CosineIsNicholAndDhariwals) {
  const Json table = json_of(options({"squaredcos_cap_v2"}))[0];
  const auto f = [](double t) { return std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2); };
  for (const size_t t : {0u, 250u, 500u, 900u})
    EXPECT_NEAR(table["sqrt_alphas_cumprod"][t], f(static_cast<double>(t + 1) / 1000) / f(0), 1e-4);
}

TEST(Schedule, ZeroTerminalSnrEndsInPureNoise) {
  ScheduleOptions o = options({"scaled_linear"});
  o.beta_start = 0.00085;
  o.beta_end = 0.012;
  EXPECT_NEAR(json_of(o)[0]["sigmas"].back(), 14.6146, 1e-3);  // Stable Diffusion's
  o.rescale_betas_zero_snr = true;
  const Json table = json_of(o)[0];
  EXPECT_EQ(table["sqrt_alphas_cumprod"].back(), 0);
  EXPECT_EQ(table["sqrt_one_minus_alphas_cumprod"].back(), 1);
  EXPECT_TRUE(table["sigmas"].back().is_null());
  EXPECT_TRUE(table["log_snr"].back().is_null());
  EXPECT_THAT(show_schedules(o).text, HasSubstr(" inf\n"));
}

TEST(Schedule, ARunVisitsTheSamplersTimesteps) {
  ScheduleOptions o = options({"ddim"});
  o.num_inference_steps = 5;
  const Json run = json_of(o)[0];
  EXPECT_THAT(numbers(run["timesteps"]), ElementsAre(800, 600, 400, 200, 0));
  EXPECT_EQ(run["model_calls"], 5);
  EXPECT_EQ(run["num_inference_steps"], 5);
  const Json all = json_of(options({"linear"}))[0];
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(run["sigmas"][i], all["sigmas"][800 - 200 * i]);

  ScheduleOptions own = options({"ddim"});
  own.timesteps = {999, 10, 3};
  EXPECT_THAT(numbers(json_of(own)[0]["timesteps"]), ElementsAre(999, 10, 3));
  own.timesteps = {3, 10};
  EXPECT_THAT(error_of([&] { show_schedules(own); }), HasSubstr("timesteps"));
}

/// Whatever the method: what the table says of a call is what the method itself does to a picture there.
TEST(Schedule, EverySamplersTableIsWhatItsAddNoiseDoes) {
  const Tensor one = at::ones({1, 1, 2, 2}), zero = at::zeros({1, 1, 2, 2});
  for (const SamplerInfo& info : samplers()) {
    SCOPED_TRACE(info.name);
    ScheduleOptions o = options({std::string(info.name)});
    o.num_inference_steps = 6;
    const Json run = json_of(o)[0];
    ASSERT_GE(run["timesteps"].size(), 1u) << info.name;
    const auto scheduler = make_scheduler(info.name);
    for (size_t i = 0; i < run["timesteps"].size(); ++i) {
      const auto in_panel = [&](const char* key) {
        return run[key][i].is_null() ? INFINITY : run[key][i].get<double>();
      };
      const double alpha = in_panel("sqrt_alphas_cumprod"), noise = in_panel("sqrt_one_minus_alphas_cumprod");
      const bool between = i + 1 < run["timesteps"].size() && i % 2 == 1 && info.calls == "2N-1";
      if (between) continue;  // a second-order method's call between two levels
      const unnoise::Run at = scheduler->start({.steps = 6, .begin = static_cast<int64_t>(i)});
      const double timestep = timestep_number(at.steps().front());
      if (i == 0) EXPECT_EQ(timestep, run["timesteps"][0].get<double>()) << info.name;
      if (timestep != run["timesteps"][i].get<double>()) continue;  // pndm begins late without Runge-Kutta steps
      const auto kept = at.noised(one, zero).flatten()[0].item<double>();
      const auto added = at.noised(zero, one).flatten()[0].item<double>();
      EXPECT_NEAR(alpha * added, noise * std::max(kept, 0.0), 2e-3 * std::hypot(kept, added)) << info.name << " " << i;
    }
  }
}

TEST(Schedule, TheTableSaysWhatItsColumnsAre) {
  const std::string text = show_schedules(options({"linear"})).text;
  EXPECT_THAT(text, HasSubstr("how much of the picture x0 is in x_t"));
  EXPECT_THAT(text, HasSubstr("Ho et al. 2020, eq. 4"));
  EXPECT_THAT(text, HasSubstr("\n         0      0.9999        0.0100     9.210      0.0100\n"));
  EXPECT_THAT(text, HasSubstr("\n       999      0.0064        1.0000   -10.118    157.4073\n"));
  EXPECT_EQ(count(text.substr(text.find("  timestep  sqrt(abar)")), "\n"), 21u);  // heads and 20 rows

  ScheduleOptions few = options({"linear"});
  few.rows = 3;
  few.curves = {log_snr};
  const std::string short_text = show_schedules(few).text;
  EXPECT_THAT(short_text, HasSubstr("  timestep   log-SNR\n         0     9.210\n"));
  EXPECT_THAT(short_text, Not(HasSubstr("sigma")));
}

TEST(Schedule, AModelsSchedulerIsShownAndLendsItsSettings) {
  const TemporaryFolder dir;
  dir.write("cats/scheduler/scheduler_config.json",
            R"({"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 100})");
  ScheduleOptions o;
  o.model = (dir / "cats/").string();
  const Json saved = json_of(o);
  EXPECT_EQ(saved[0]["name"], "cats");
  EXPECT_EQ(saved[0]["timesteps"].size(), 100u);

  o.names = {"as-saved", "DDIM"};
  const Json both = json_of(o);
  EXPECT_EQ(both[1]["scheduler"], "DDIMScheduler");
  EXPECT_EQ(both[1]["sigmas"], saved[0]["sigmas"]);

  const Json by_name = json_of(options({(dir / "cats/scheduler/scheduler_config.json").string()}));
  EXPECT_EQ(by_name[0]["name"], "cats");
  EXPECT_EQ(by_name[0]["sigmas"], saved[0]["sigmas"]);

  o.names = {"ddim"};
  o.scheduler_options = {"beta_schedule=linear"};
  EXPECT_NE(json_of(o)[0]["sigmas"], saved[0]["sigmas"]);
}

TEST(Schedule, SeveralAreDrawnInOnePlot) {
  const TemporaryFolder dir;
  ScheduleOptions o = options({"linear", "squaredcos_cap_v2", "sigmoid"});
  o.svg = (dir / "new/plot.svg").string();
  EXPECT_THAT(show_schedules(o).files, ElementsAre(*o.svg));
  const std::string svg = read_file(*o.svg);
  EXPECT_EQ(count(svg, "<path"), 12u);  // three schedules, four curves
  EXPECT_EQ(count(svg, "stroke-dasharray"), 3u);
  for (const char* label : {">linear<", ">squaredcos_cap_v2<", ">sigmoid<", ">log-SNR<", ">sigma<", ">weight<"})
    EXPECT_EQ(count(svg, label), 1u) << label;
  EXPECT_THAT(svg, HasSubstr(">0.01</text>"));  // sigmas on a logarithmic axis
  o.log_scale = false;
  show_schedules(o);
  EXPECT_THAT(read_file(*o.svg), Not(HasSubstr(">0.01</text>")));

  ScheduleOptions run = options({"ddim", "ddpm"});
  run.num_inference_steps = 10;
  run.svg = *o.svg;
  show_schedules(run);
  EXPECT_EQ(count(read_file(*o.svg), "<circle"), 2u * 5 * 10);  // a dot a call
}

TEST(Schedule, MistakesAreExplained) {
  const TemporaryFolder dir;
  const auto fails = [](const ScheduleOptions& o) { return error_of([&] { show_schedules(o); }); };
  EXPECT_THAT(fails({}), HasSubstr("nothing was named"));
  EXPECT_THAT(fails(options({"liner"})), HasSubstr("Did you mean \"linear\"?"));
  EXPECT_THAT(fails(options({"as-saved"})), HasSubstr("\"as-saved\" is no schedule"));
  EXPECT_THAT(fails(options({"linear", "no/such/folder"})), HasSubstr("no/such"));
  dir.write("bad.json", R"({"_class_name": "NoScheduler"})");
  EXPECT_THAT(fails(options({(dir / "bad.json").string()})), HasSubstr("bad.json\": scheduler \"NoScheduler\""));

  ScheduleOptions o = options({"ddim"});
  o.scheduler_options = {"clip_smaple=false"};
  EXPECT_THAT(fails(o), HasSubstr("Did you mean \"clip_sample\"?"));
  o.scheduler_options = {"clip_sample"};
  EXPECT_THAT(fails(o), HasSubstr("expected KEY=VALUE"));
  o = options({"ddim"});
  o.beta_end = 3;
  EXPECT_THAT(fails(o), HasSubstr("beta at timestep"));
  o = options({"ddim"});
  o.num_inference_steps = 0;
  EXPECT_THAT(fails(o), HasSubstr("--num-inference-steps: expected 1 to"));
  o.num_inference_steps = 5000;
  EXPECT_THAT(fails(o), HasSubstr("1000"));
  o.num_inference_steps = 5;
  o.timesteps = {1};
  EXPECT_THAT(fails(o), HasSubstr("give one of them"));
  o.timesteps = {};
  o.curves = {betas};
  EXPECT_THAT(fails(o), HasSubstr("--curves: betas"));
  o.rows = -1;
  EXPECT_THAT(fails(o), HasSubstr("--rows"));
}

TEST(Schedule, AMistakeLeavesAnEarlierPlotAlone) {
  const TemporaryFolder dir;
  dir.write("plot.svg", "mine");
  ScheduleOptions o = options(std::vector<std::string>(8, "linear"));
  o.svg = (dir / "plot.svg").string();
  EXPECT_THAT(error_of([&] { show_schedules(o); }), HasSubstr("cannot be told apart"));
  EXPECT_EQ(read_file(*o.svg), "mine");
  o.names = {"linear"};
  o.svg = dir.path().string();
  EXPECT_THAT(error_of([&] { show_schedules(o); }), HasSubstr("is a folder"));
}

}  // namespace
}  // namespace unnoise
