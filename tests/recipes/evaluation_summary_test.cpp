#include "unnoise/recipes/evaluation_summary.h"

#include <gmock/gmock.h>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using testing::HasSubstr;

const char* const kQuality = R"({
  "features": "fmnist", "num_features": 96, "num_images": 500, "num_reference": 60000, "compared": 500, "seed": 0,
  "seconds": 3.5, "swd_real": 0.01, "how": "DDIMScheduler, 50 steps, seed 0", "model": "/home/me/model",
  "data": "/home/me/pets/", "split": "train", "notes": [],
  "metrics": {"fd_fmnist": {"value": 12.5, "low": 12, "high": 13},
              "fd_infinity_fmnist": {"value": 11, "low": null, "high": null}},
  "copying": {"pixels": {"flagged": 0.02, "expected": 0.01, "threshold": 0.5, "z": 1.5, "copies": false},
              "features": {"flagged": 0.03, "threshold": 0.6}, "calibrated_by": "unseen pictures", "copies": false}})";

std::vector<std::string> names(const EvaluationSummary& evaluation) {
  std::vector<std::string> all;
  for (const auto& [name, number] : evaluation.numbers) all.push_back(name);
  return all;
}

TEST(EvaluationSummary, TakesMeasurementsAndNoSettings) {
  const EvaluationSummary found = read_evaluation(Json::parse(kQuality), "here");
  EXPECT_THAT(names(found),
              testing::ElementsAre("copied_features", "copied_pixels", "fd_fmnist", "fd_infinity_fmnist"));
  const Estimate fd = found.numbers.at("fd_fmnist").estimate;
  EXPECT_EQ(fd.value, 12.5);
  EXPECT_EQ(fd.low, 12);
  EXPECT_EQ(fd.high, 13);
  EXPECT_EQ(found.copies, false);
  EXPECT_EQ(measured_pictures(found), "500 drawn pictures beside 60,000 training pictures of pets");
}

TEST(EvaluationSummary, IsInTheLogOfATraining) {
  Json record = Json::parse(kQuality);
  record.update({{"step", 70}});
  record.erase("split");
  const auto found = evaluation_in_log(record);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->numbers.size(), 4u);
  EXPECT_EQ(found->step, 70);
  EXPECT_EQ(found->split, "train");
  EXPECT_FALSE(evaluation_in_log({{"step", 3}, {"loss", 0.5}}));
}

TEST(EvaluationSummary, OfALikelihoodSaysTheErrorAsAnInterval) {
  const Json json = {{"bits_per_dim", 3.0}, {"standard_error", 0.1},   {"num_images", 64},
                     {"split", "test"},     {"data", "fashion-mnist"}, {"model_calls", 9}};
  const EvaluationSummary found = read_evaluation(json, "here");
  EXPECT_THAT(names(found), testing::ElementsAre("bits_per_dim"));
  EXPECT_NEAR(found.numbers.at("bits_per_dim").estimate.low, 2.804, 1e-4);
  EXPECT_EQ(measured_pictures(found), "64 test pictures of fashion-mnist");
}

TEST(EvaluationSummary, RefusesWhatIsNone) {
  for (const char* text :
       {"{}", "[]", "3", R"({"metrics": 3})", R"({"bits_per_dim": "x"})", R"({"bits_per_dim": 3})"}) {
    try {
      read_evaluation(Json::parse(text), "here");
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::data);
      EXPECT_THAT(e.message(), HasSubstr("here: "));
    }
  }
}

TEST(EvaluationSummary, IsSharedWithoutPathsOfThisMachine) {
  EXPECT_THAT(shareable_evaluation(Json::parse(kQuality)).dump(), testing::Not(HasSubstr("/home")));
}

}  // namespace
}  // namespace unnoise
