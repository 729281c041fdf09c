#include "unnoise/recipes/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "unnoise/core/base64.h"
#include "unnoise/core/error.h"
#include "unnoise/data/dataset.h"
#include "unnoise/recipes/comparison.h"
#include "unnoise/recipes/halving.h"
#include "unnoise/recipes/html.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/recipe_data.h"
#include "unnoise/recipes/recipe_library.h"
#include "unnoise/recipes/sweep_grid.h"
#include "unnoise/recipes/sweep_state.h"

namespace unnoise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Recipe parsed(const char* text) { return recipe_from_json(parse_json(text, "t"), "\"r.json\""); }

std::string usage_error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  return "no error";
}
std::string error_in(const char* text) {
  return usage_error_of([&] { parsed(text); });
}

constexpr const char* kRecipe = R"({
  "name": "little", "description": "d", "data": {"source": "fashion-mnist", "count": 60000},
  "network": {"preset": "mnist", "block_out_channels": [16, 32, 32]},
  "train": {"learning_rate": 0.001, "max_train_steps": 10, "lr_warmup_steps": 2},
  "sample": {"scheduler": "ddim", "num_inference_steps": 20}, "budget_minutes": 0.5, "made_with": {"unnoise": "0.1.0"}})";

TEST(RecipeFile, SaysWhatTrainAndSampleAreTold) {
  const Recipe recipe = parsed(kRecipe);
  const TrainOptions train = train_options(recipe);
  EXPECT_EQ(train.train_data_dir, "fashion-mnist");
  EXPECT_EQ(train.recipe, "little");
  EXPECT_EQ(train.learning_rate, 0.001);
  EXPECT_EQ(train.max_train_steps, 10);
  EXPECT_EQ(train.train_batch_size, TrainOptions().train_batch_size);
  EXPECT_EQ(Json::parse(*train.model_config_name_or_path).at("preset"), "mnist");
  EXPECT_EQ(sample_options(recipe).scheduler, "ddim");
  EXPECT_EQ(parsed(dump_json(to_json(recipe)).c_str()), recipe);
}

TEST(RecipeFile, UnknownKeysAndWrongTypesNameFileKeyAndTheNearest) {
  EXPECT_THAT(error_in(R"({"nmae": "x", "data": {"source": "a"}})"),
              AllOf(HasSubstr("\"r.json\""), HasSubstr("\"nmae\""), HasSubstr("Did you mean \"name\"?")));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "train": {"learning_rte": 1}})"),
              AllOf(HasSubstr("train"), HasSubstr("\"learning_rte\""), HasSubstr("Did you mean \"learning_rate\"?")));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "train": {"learning_rate": "fast"}})"),
              AllOf(HasSubstr("\"r.json\": train: learning_rate"), HasSubstr("expected a number")));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "network": {"block_out_chanels": [1]}})"),
              HasSubstr("Did you mean \"block_out_channels\"?"));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "network": {"block_out_channels": 3}})"), HasSubstr("a list"));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "network": 3})"), HasSubstr("network"));
  EXPECT_THAT(error_in(R"({"data": {"source": 3}})"), HasSubstr("data: source: expected text"));
  EXPECT_THAT(error_in(R"({"data": {"souce": "a"}})"), HasSubstr("Did you mean \"source\"?"));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "budget_minutes": 0})"), HasSubstr("above 0"));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "budget_minutes": "5"})"), HasSubstr("expected a number"));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "train": {"output_dir": "x"}})"),
              AllOf(HasSubstr("\"output_dir\""), HasSubstr("--output-dir")));
  EXPECT_THAT(error_in(R"({"data": {"source": "a"}, "train": []})"), HasSubstr("train: expected a JSON object"));
  EXPECT_THAT(error_in(R"({"train": {}})"), HasSubstr("needs \"data\""));
  EXPECT_THAT(error_in("[]"), HasSubstr("expected a recipe"));
}

TEST(RecipeFile, OptionsAndRecipeAreTheSameRun) {
  TrainOptions options;
  options.train_data_dir = "pictures";
  options.model_config_name_or_path = "butterflies";
  options.learning_rate = 4e-4;
  options.use_ema = true;
  options.num_epochs = 7;
  options.output_dir = "somewhere";
  options.hub_token = "secret";
  options.hub_endpoint = "http://secret";
  options.checkpointing_steps = 77;
  const Recipe recipe = recipe_from_options(options);
  EXPECT_THAT(to_json(recipe).dump(), Not(HasSubstr("secret")));
  EXPECT_EQ(recipe.train["checkpointing_steps"], 77);
  const TrainOptions again = train_options(recipe);
  EXPECT_EQ(again.learning_rate, 4e-4);
  EXPECT_EQ(again.num_epochs, 7);
  EXPECT_TRUE(again.use_ema);
  EXPECT_EQ(again.train_data_dir, "pictures");
  EXPECT_EQ(again.model_config_name_or_path, "butterflies");
  EXPECT_EQ(again.output_dir, TrainOptions().output_dir);
  EXPECT_TRUE(states_steps(recipe));
  EXPECT_EQ(recipe_from_json(to_json(recipe), "r"), recipe);
}

// Course row 1.37: all settings, also those that nobody set; nothing that says where.
TEST(RecipeFile, OfOptionsHoldsEverySetting) {
  const Recipe recipe = recipe_from_options({});
  for (const char* name : {"seed", "threads", "learning_rate", "adam_epsilon", "p2_k", "lr_scheduler", "kernels"})
    EXPECT_EQ(recipe.train.at(name), to_json(TrainOptions()).at(name)) << name;
  for (const char* name : {"output_dir", "hub_token", "hub_token_file", "recipe", "train_data_dir", "cache_dir"})
    EXPECT_FALSE(recipe.train.contains(name)) << name;
}

// The book's recipes name the pictures they were run with, by count and hash.
TEST(RecipeBook, IsOfThePicturesThatAreInstalledHere) {
  int checked = 0;
  for (const fs::path& file : recipe_files({fs::path(UNNOISE_TEST_DATA) / "../../recipes"})) {
    Recipe recipe = read_recipe(file);
    EXPECT_TRUE(recipe.train.contains("seed") || !recipe.data.hash) << file;
    try {
      open_dataset({.path_or_name = recipe.data.source});
    } catch (const Error&) {
      continue;  // not installed here
    }
    EXPECT_TRUE(recipe.data.count && recipe.data.hash && recipe.made_with.contains("unnoise")) << file;
    EXPECT_NO_THROW(check_and_record_data(recipe, DataCheck::refuse, {})) << file;
    ++checked;
    recipe.data.hash = "pixels-0123456789abcdef";
    EXPECT_THROW(check_and_record_data(recipe, DataCheck::refuse, {}), Error) << file;
  }
  if (checked == 0) GTEST_SKIP() << "no data set of the book is installed";
}

TEST(MadeWith, SaysWhatNumbersDependOn) {
  const Json versions = made_with();
  for (const char* key : {"unnoise", "diffusers", "libtorch", "compiler", "processor", "instructions"})
    EXPECT_TRUE(versions.at(key).is_string()) << key;
  EXPECT_THAT(versions["libtorch"].get<std::string>(), ::testing::StartsWith("2."));
  EXPECT_FALSE(versions["instructions"].get<std::string>().empty());
}

TEST(RecipeSettings, AnyFieldOfTheTablesByItsFlagOrAnAlias) {
  Recipe recipe = parsed(kRecipe);
  set_in_recipe(recipe, "lr", "4e-4");
  set_in_recipe(recipe, "train-batch-size", "32");
  set_in_recipe(recipe, "use_ema", "true");
  set_in_recipe(recipe, "channels", "[8,16,16]");
  set_in_recipe(recipe, "sample.num_images", "4");
  EXPECT_EQ(recipe.train["learning_rate"], 4e-4);
  EXPECT_EQ(recipe.train["train_batch_size"], 32);
  EXPECT_EQ(recipe.train["use_ema"], true);
  EXPECT_EQ(recipe.network["block_out_channels"], Json({8, 16, 16}));
  EXPECT_EQ(recipe.network["preset"], "mnist");
  EXPECT_EQ(recipe.sample["num_images"], 4);
  set_in_recipe(recipe, "network", "butterflies");
  EXPECT_EQ(recipe.network, "butterflies");
  set_in_recipe(recipe, "layers", "1");  // changes the preset that is there
  EXPECT_EQ(recipe.network, Json({{"preset", "butterflies"}, {"layers_per_block", 1}}));
  EXPECT_THAT(usage_error_of([&] { set_in_recipe(recipe, "learningrate", "1"); }), HasSubstr("learning_rate"));
  EXPECT_THAT(usage_error_of([&] { set_in_recipe(recipe, "lr", "quick"); }), HasSubstr("--learning-rate"));
  EXPECT_THAT(usage_error_of([&] { set_in_recipe(recipe, "output_dir", "x"); }), HasSubstr("no setting"));
  EXPECT_THAT(usage_error_of([&] { set_in_recipe(recipe, "channels", "wide"); }), HasSubstr("a list"));
}

TEST(SweepGrid, CommasSeparateValuesOutsideBrackets) {
  const auto variations = parse_variations({"lr=1e-4", "4e-4", "channels=[8", "16]", "[16", "32]"});
  ASSERT_EQ(variations.size(), 2u);
  EXPECT_EQ(variations[0].setting, "learning_rate");
  EXPECT_THAT(variations[0].values, ElementsAre("1e-4", "4e-4"));
  EXPECT_THAT(variations[1].values, ElementsAre("[8,16]", "[16,32]"));
  const auto choices = all_choices(variations);
  ASSERT_EQ(choices.size(), 4u);
  EXPECT_EQ(choice_text(choices[1]), "learning_rate=1e-4 block_out_channels=[16,32]");
}

TEST(SweepGrid, MistakesAreExplained) {
  EXPECT_THAT(usage_error_of([] { parse_variations({}); }), HasSubstr("nothing to vary"));
  EXPECT_THAT(usage_error_of([] { parse_variations({"1e-4"}); }), HasSubstr("SETTING=VALUE"));
  EXPECT_THAT(usage_error_of([] { parse_variations({"lr=1", "learning_rate=2"}); }), HasSubstr("named twice"));
  EXPECT_THAT(usage_error_of([] { parse_variations({"lr=1", "1"}); }), HasSubstr("given twice"));
  EXPECT_THAT(usage_error_of([] { parse_variations({"lr="}); }), HasSubstr("empty"));
  EXPECT_THAT(usage_error_of([] { parse_variations({"lrr=3"}); }), HasSubstr("no setting"));
  std::vector<std::string> many = {"seed=0"};
  for (int i = 1; i < 1001; ++i) many.push_back(std::to_string(i));
  EXPECT_THAT(usage_error_of([&] { all_choices(parse_variations(many)); }), HasSubstr("more than 1000"));
}

// Jamieson & Talwalkar 2016: each rung is eta times as long for 1/eta of the settings.
TEST(Halving, RungsGrowAsTheFieldShrinks) {
  EXPECT_THAT(halving_rungs(4, 2), ElementsAre(0.25, 0.5, 1));
  EXPECT_THAT(halving_rungs(5, 2), ElementsAre(0.25, 0.5, 1));
  EXPECT_THAT(halving_rungs(9, 3), ElementsAre(::testing::DoubleEq(1.0 / 9), ::testing::DoubleEq(1.0 / 3), 1));
  EXPECT_THAT(halving_rungs(1, 2), ElementsAre(1));
  EXPECT_THAT(halving_rungs(8, 0), ElementsAre(1));
  EXPECT_EQ(survivors(5, 2), 2);
  EXPECT_EQ(survivors(1, 2), 1);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(lowest({3, 1, nan, 1, 2}, 2), ElementsAre(false, true, false, true, false));
  EXPECT_THAT(lowest({nan, nan}, 1), ElementsAre(true, false));
}

TEST(SweepState, ReadsWhatItWrote) {
  SweepOptions options;
  options.vary = {"lr=1e-4", "4e-4"};
  SweepState state = new_sweep(parsed(kRecipe), options);
  ASSERT_EQ(state.runs.size(), 2u);
  state.runs[0].scores = {0.5, std::numeric_limits<double>::quiet_NaN()};
  state.runs[0].status = SweepStatus::failed;
  state.runs[1].step = 7;
  state.seconds = 12.5;
  const Json json = to_json(state);
  const SweepState again = sweep_state_from_json(parse_json(dump_json(json), "t"), "t");
  EXPECT_EQ(to_json(again), json);
  EXPECT_EQ(difference(state, again), "");
  options.halving = 3;
  EXPECT_EQ(difference(state, new_sweep(parsed(kRecipe), options)), "halving");
  EXPECT_THROW(sweep_state_from_json(Json::object(), "t"), Error);
}

RunSummary pretended_run(const std::string& name, double rate, double held_out, std::string status = "done") {
  RunSummary run;
  run.name = name;
  run.options = to_json(TrainOptions());
  run.options["learning_rate"] = rate;
  run.options["output_dir"] = name;
  run.result.status = std::move(status);
  run.result.held_out = HeldOutEpsError{held_out, std::vector<double>(10, held_out), 8, true};
  run.result.seconds = 3;
  run.result.cpu_seconds = 7;
  for (int step = 1; step <= 30; ++step) run.series["loss"].emplace_back(step, 1.0 / step);
  run.steps = 30;
  run.repeat_command = "unnoise recipe run";
  run.repeat_file = fs::path(UNNOISE_TEST_DATA) / "../../recipes/digits-8.json";
  return run;
}

TEST(Compare, RanksFinishedRunsFirstAndShowsWhatDiffers) {
  const Comparison comparison = compare_runs({pretended_run("b", 1e-4, 0.2), pretended_run("a", 4e-4, 0.1),
                                              pretended_run("c", 9e-4, 0.05, "stopped at step 3")},
                                             {});
  EXPECT_EQ(comparison.rank_by, "held_out");
  EXPECT_THAT(comparison.settings, ElementsAre("learning_rate"));
  const auto table = table_of(comparison);
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(table.rows[0][1] + table.rows[1][1] + table.rows[2][1], "abc");
  EXPECT_THAT(table.columns,
              ::testing::IsSupersetOf({"learning_rate", "held_out", "loss", "time", "cpu time", "memory"}));
  EXPECT_THAT(table.rows[0], ::testing::Contains("7 s"));
  CompareOptions highest;
  highest.highest = true;
  EXPECT_EQ(compare_runs({pretended_run("a", 1, 0.1), pretended_run("b", 1, 0.2)}, highest).runs[0].run.name, "b");
  CompareOptions wrong;
  wrong.rank_by = "beauty";
  EXPECT_THAT(usage_error_of([&] { compare_runs({pretended_run("a", 1, 0.1)}, wrong); }), HasSubstr("held_out, loss"));
}

/// As `unnoise evaluate --json` has it.
Json pretended_evaluation(double fd, const Json& low, const Json& high, int64_t num_images, bool copies) {
  return {{"num_images", num_images},
          {"metrics", {{"fd_x", {{"value", fd}, {"low", low}, {"high", high}}}}},
          {"copying", {{"pixels", {{"flagged", 0.5}, {"low", 0.4}, {"high", 0.6}}}, {"copies", copies}}}};
}

TEST(Compare, ShowsIntervalsNumberOfPicturesAndVerdict) {
  auto logged = pretended_run("logged", 1, 0.1), both = pretended_run("both", 1, 0.2),
       none = pretended_run("none", 1, 0.3);
  logged.logged_evaluation = both.logged_evaluation = pretended_evaluation(2, 1.5, 2.5, 24, true);
  both.result.evaluation = pretended_evaluation(3, nullptr, nullptr, 1000, false);  // goes before the log's
  CompareOptions by_distance;
  by_distance.rank_by = "fd_x";
  const Comparison comparison = compare_runs({none, both, logged}, by_distance);
  EXPECT_EQ(comparison.runs[0].run.name, "logged");
  EXPECT_EQ(comparison.runs[1].value, 3.0);
  const auto table = table_of(comparison);
  const auto column = [&](const char* name) {
    const auto at = std::find(table.columns.begin(), table.columns.end(), name) - table.columns.begin();
    return std::vector{table.rows[0].at(at), table.rows[1].at(at), table.rows[2].at(at)};
  };
  EXPECT_THAT(column("fd_x"), ElementsAre("2 (1.5 to 2.5)", "3", "-"));
  EXPECT_THAT(column("copied_pixels"), ElementsAre("0.5 (0.4 to 0.6)", "0.5 (0.4 to 0.6)", "-"));
  EXPECT_THAT(column("pictures"), ElementsAre("24", "1000", "-"));
  EXPECT_THAT(column("copies"), ElementsAre("COPIES", "no sign", "-"));
  EXPECT_FALSE(compare_runs({none}, {}).measured);
}

TEST(QualityNumbers, ReadBackWhatTheyWrote) {
  const auto numbers = quality_numbers(pretended_evaluation(3, nullptr, 4, 1000, false));
  EXPECT_EQ(to_json(quality_numbers(to_json(numbers))), to_json(numbers));
  EXPECT_EQ(numbers.at("fd_x").num_images, 1000);
  const auto bits = quality_numbers({{"bits_per_dim", 3.0}, {"standard_error", 0.1}, {"num_images", 64}});
  EXPECT_NEAR(bits.at("bits_per_dim").estimate.high, 3.196, 1e-3);
  EXPECT_TRUE(quality_numbers({{"loss", 1}}).empty());
  EXPECT_TRUE(quality_numbers(nullptr).empty());
}

TEST(Compare, LossesOfDifferentObjectivesComeWithACaution) {
  auto a = pretended_run("a", 1, 0.1), b = pretended_run("b", 1, 0.2);
  b.options["prediction_type"] = "v_prediction";
  CompareOptions by_loss;
  by_loss.rank_by = "loss";
  EXPECT_THAT(compare_runs({a, b}, by_loss).note, AllOf(HasSubstr("prediction_type"), HasSubstr("cannot be compared")));
  EXPECT_EQ(compare_runs({a, b}, {}).note, "");
  b.options.erase("prediction_type");  // a run of an earlier version: the default, as the other's
  EXPECT_EQ(compare_runs({a, b}, by_loss).note, "");
}

// Every one of these changes what is averaged into the loss; none of those below does.
TEST(Compare, WhatDecidesTheLossIsMarkedInTheTable) {
  const auto note = [](const char* option, const Json& value) {
    auto a = pretended_run("a", 1, 0.1), b = a;
    EXPECT_TRUE(b.options.contains(option)) << option;
    b.options[option] = value;
    CompareOptions by_loss;
    by_loss.rank_by = "loss";
    return compare_runs({a, b}, by_loss).note;
  };
  for (const auto& [option, value] : {std::pair<const char*, Json>{"objective", "edm"},
                                      {"ddpm_beta_end", 0.01},
                                      {"ddpm_rescale_betas_zero_snr", true},
                                      {"sigma_data", 0.3},
                                      {"learned_variance", true},
                                      {"loss", "l1"},
                                      {"loss_weighting", "p2"},
                                      {"p2_gamma", 0.5},
                                      {"p2_k", 2},
                                      {"snr_gamma", 1},
                                      {"timestep_sampling", "logit_normal"},
                                      {"logit_mean", 1},
                                      {"logit_std", 2},
                                      {"noise_offset", 0.1},
                                      {"input_perturbation", 0.1},
                                      {"immiscible_noise", true},
                                      {"augment", 0.1},
                                      {"resolution", 16}})
    EXPECT_THAT(note(option, value), HasSubstr(std::string(option) + " differ")) << option;
  for (const auto& [option, value] : {std::pair<const char*, Json>{"learning_rate", 0.5},
                                      {"seed", 3},
                                      {"low_discrepancy", true},
                                      {"uncertainty_weighting", true},
                                      {"gradient_times_loss", true},
                                      {"use_ema", true},
                                      {"dropout", 0.1}})
    EXPECT_EQ(note(option, value), "") << option;
}

TEST(Compare, ThePageHoldsEverythingItself) {
  const std::string page =
      comparison_html(compare_runs({pretended_run("a", 1e-4, 0.1), pretended_run("b", 2e-4, 0.2)}, {}), "A & B");
  EXPECT_THAT(page, AllOf(HasSubstr("<title>A &amp; B</title>"), HasSubstr("data:image/svg+xml;base64,"),
                          HasSubstr("prefers-color-scheme: dark"), HasSubstr("name=\"viewport\"")));
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("src=\"http")), Not(HasSubstr("href=\"http"))));
  // How to repeat a run is in the page, and no path of the disk that it was made on.
  const std::string recipe = read_file(fs::path(UNNOISE_TEST_DATA) / "../../recipes/digits-8.json");
  EXPECT_THAT(page, AllOf(HasSubstr("<code>unnoise recipe run a-digits-8.json --output-dir again</code>"),
                          HasSubstr("download=\"a-digits-8.json\" href=\"" + data_uri("application/json", recipe)),
                          HasSubstr("<pre>" + html_escaped(recipe)), Not(HasSubstr(UNNOISE_TEST_DATA))));
}

TEST(Html, Base64OfTheStandard) {  // RFC 4648, section 10
  for (const auto& [plain, coded] :
       {std::pair{"", ""}, std::pair{"f", "Zg=="}, std::pair{"fo", "Zm8="}, std::pair{"foo", "Zm9v"},
        std::pair{"foob", "Zm9vYg=="}, std::pair{"fooba", "Zm9vYmE="}, std::pair{"foobar", "Zm9vYmFy"}})
    EXPECT_EQ(base64(plain), coded);
  EXPECT_EQ(base64(std::string("\xff\xfe\x00", 3)), "//4A");
}

}  // namespace
}  // namespace unnoise
