#include "unnoise/recipes/samplers.h"

#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>

#include <unistd.h>

#include <bit>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/evaluate.h"
#include "unnoise/recipes/fit_schedule.h"
#include "unnoise/recipes/labelled_grid.h"
#include "unnoise/recipes/sample.h"

namespace unnoise {
namespace {

using testing::HasSubstr;

/// A tiny network with random weights, 3 x 8 x 8, in a folder of its own.
class SamplersOnAModel : public testing::Test {
 protected:
  SamplersOnAModel() : folder_(fs::temp_directory_path() / ("unnoise-samplers-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    Rng rng(0);
    Unconditional pipe;
    const Json config{{"sample_size", 8},
                      {"in_channels", 3},
                      {"out_channels", 3},
                      {"layers_per_block", 1},
                      {"block_out_channels", {8, 8}},
                      {"down_block_types", {"DownBlock2D", "DownBlock2D"}},
                      {"up_block_types", {"UpBlock2D", "UpBlock2D"}},
                      {"norm_num_groups", 4}};
    pipe.unet_config = config;
    pipe.unet = std::make_shared<UNet2D>(unet2d_options(config), &rng);
    pipe.scheduler = make_scheduler("ddpm", Json{{"clip_sample", false}});
    pipe.save(folder_ / "model");
  }
  ~SamplersOnAModel() override { fs::remove_all(folder_); }

  SamplersOptions options() const {
    SamplersOptions o;
    o.model = (folder_ / "model").string();
    o.output = (folder_ / "out").string();
    o.samplers = {"ddim", "DPM++ 2M Karras", "heun", "ddpm"};
    o.calls = {4, 12};
    o.reference_steps = 100;
    o.num_images = 2;
    o.threads = 1;
    return o;
  }

  const fs::path folder_;
};

TEST_F(SamplersOnAModel, AreComparedFromTheSameNoise) {
  SamplersOptions o = options();
  o.json = true;
  const auto result = samplers_report(o);
  const Json json = Json::parse(result.report);
  ASSERT_EQ(json["samplers"].size(), 4u);
  for (const Json& one : json["samplers"]) {
    EXPECT_EQ(one["runs"][0]["calls"], one["name"] == "heun" ? 3 : 4) << one["name"];  // 2N - 1 within 4
    EXPECT_EQ(one["runs"][1]["calls"], one["name"] == "heun" ? 11 : 12) << one["name"];
    if (one["stochastic"] == false) {
      EXPECT_LT(one["runs"][1]["distance"], one["runs"][0]["distance"]) << one["name"];  // closer with more calls
    }
  }
  EXPECT_EQ(json["samplers"][3]["stochastic"], true);
  EXPECT_NE(json["best"]["12"], "ddpm");
  for (const auto* file : {"samplers.svg", "grid.svg", "grid.png", "report.json"})
    EXPECT_GT(fs::file_size(folder_ / "out" / file), 100u) << file;
  // The same again, but for the seconds
  Json again = Json::parse(samplers_report(o).report);
  EXPECT_EQ(again["samplers"][1]["runs"][0]["distance"], json["samplers"][1]["runs"][0]["distance"]);
}

TEST_F(SamplersOnAModel, TheTableNamesTheBest) {
  SamplersOptions o = options();
  const std::string text = samplers_report(o).report;
  EXPECT_THAT(text, HasSubstr("best with   4 calls: --scheduler "));
  EXPECT_THAT(text, HasSubstr("DPM++ 2M Karras"));
  EXPECT_THAT(text, HasSubstr("~"));
}

TEST_F(SamplersOnAModel, AFittedScheduleIsStoredAndUsed) {
  SamplersOptions o = options();
  o.fit_schedule = 5;
  o.update_model = true;
  o.json = true;
  const Json json = Json::parse(samplers_report(o).report);
  const auto timesteps = json["timesteps"].get<std::vector<int64_t>>();
  ASSERT_EQ(timesteps.size(), 5u);
  EXPECT_TRUE(std::is_sorted(timesteps.rbegin(), timesteps.rend()));
  const Json saved = load_component_config(o.model.value(), "scheduler", "scheduler_config.json");
  EXPECT_EQ(saved["_class_name"], "DDPMScheduler");  // the model keeps its own scheduler
  EXPECT_EQ(saved["fitted_timesteps"]["5"], json["timesteps"]);
  EXPECT_EQ(load_component_config(o.output, "scheduler", "scheduler_config.json")["_class_name"],
            "DPMSolverMultistepScheduler");

  SampleOptions draw;
  draw.model = o.model.value();
  draw.scheduler = "dpm_multistep";
  draw.num_inference_steps = 5;
  draw.fitted_timesteps = true;
  draw.output = (folder_ / "pictures").string();
  EXPECT_EQ(sample(draw).model_calls, 5);
  draw.num_inference_steps = 6;
  EXPECT_THROW(sample(draw), Error);
}

TEST_F(SamplersOnAModel, SayWhatIsWrong) {
  const auto error_of = [&](auto change) {
    SamplersOptions o = options();
    change(o);
    try {
      samplers_report(o);
    } catch (const Error& error) {
      return error.message() + " " + error.hint();
    }
    return std::string("no error");
  };
  EXPECT_THAT(error_of([](auto& o) { o.samplers = {"unipcc"}; }), HasSubstr("Did you mean \"unipc\"?"));
  EXPECT_THAT(error_of([](auto& o) { o.calls = {0}; }), HasSubstr("--calls"));
  EXPECT_THAT(error_of([](auto& o) { o.update_model = true; }), HasSubstr("--update-model"));
  EXPECT_THAT(error_of([](auto& o) { o.fit_schedule = 500; }), HasSubstr("--fit-schedule"));
  EXPECT_THAT(error_of([](auto& o) {
                o.fit_schedule = 5;
                o.fit_sampler = "unipc";
              }),
              HasSubstr("custom timesteps"));
  EXPECT_THAT(error_of([](auto& o) { o.timestep_spacing = "even"; }), HasSubstr("timestep_spacing"));
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(SamplersOnAModel, BitsPerDimAreMeasured) {
  EvaluateOptions o;
  o.bits_per_dim = true;
  o.model = (folder_ / "model").string();
  o.data = "fashion-mnist";
  o.num_images = 3;
  o.json = true;
  o.threads = 1;
  const Json json = Json::parse(evaluate(o).report);
  EXPECT_EQ(json["num_images"], 3);
  EXPECT_GT(json["bits_per_dim"], 1.0);   // a network of random weights knows little,
  EXPECT_LT(json["bits_per_dim"], 20.0);  // but its density is one
  EXPECT_EQ(Json::parse(evaluate(o).report)["bits_per_dim"], json["bits_per_dim"]);  // the same seed, the same number
  o.bits_per_dim = false;
  EXPECT_THROW(evaluate(o), Error);
}

TEST(CheapestPath, IsTheOneThatBruteForceFinds) {
  // cost of a jump: its length squared, dearer in the middle
  constexpr size_t n = 9;
  std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j)
      cost[i][j] = static_cast<double>((j - i) * (j - i)) * (1 + static_cast<double>((i * 7 + j * 3) % 5));
  for (int64_t jumps = 1; jumps < 9; ++jumps) {
    double least = 1e9;
    std::vector<int64_t> best;
    for (uint32_t inner = 0; inner < 1u << 7; ++inner) {  // which of the points 1 to 7 are visited
      if (std::popcount(inner) + 1 != jumps) continue;
      std::vector<int64_t> path{0};
      for (int64_t p = 1; p < 8; ++p)
        if (inner >> (p - 1) & 1) path.push_back(p);
      double sum = 0;
      for (size_t k = 0; k < path.size(); ++k)
        sum += cost[static_cast<size_t>(path[k])][k + 1 < path.size() ? static_cast<size_t>(path[k + 1]) : n - 1];
      if (sum >= least) continue;
      least = sum;
      best = path;
    }
    EXPECT_EQ(cheapest_path(cost, jumps), best) << jumps;
  }
  EXPECT_THROW(cheapest_path(cost, 9), Error);
}

TEST(SamplerList, HasARowForEach) {
  SamplersOptions o;
  const std::string text = samplers_report(o).report;
  o.json = true;
  const Json json = Json::parse(samplers_report(o).report);
  EXPECT_GE(json.size(), 40u);
  for (const Json& one : json) EXPECT_THAT(text, HasSubstr("\n" + one["name"].get<std::string>() + " "));
}

TEST(LabelledGrid, EmbedsThePictures) {
  Image image = blank_image(4, 4, 1);
  const LabelledGrid grid{.title = "a & b", .columns = {"5 calls"}, .columns_each = 1, .rows = {{"<x>", {image}}}};
  const std::string svg = to_svg(grid);
  EXPECT_THAT(svg, HasSubstr("data:image/png;base64,iVBORw0KGgo"));
  EXPECT_THAT(svg, HasSubstr("a &amp; b"));
  EXPECT_THAT(svg, HasSubstr("&lt;x>"));
}

}  // namespace
}  // namespace unnoise
