// DDIM's inversion against diffusers' numbers and against DDIM itself.
#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dummies.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using dummies::loop;
using dummies::Row;
using ::testing::ElementsAre;

TEST(DdimInverse, FullLoopsAreThoseOfDiffusers) {
  const StartOptions ten{.steps = 10};
  const std::vector<Row> rows{
      {"default", {}, ten, 671.682, 0.85064},
      {"trailing", {{"timestep_spacing", "trailing"}}, ten, 676.534, 0.85679},
      {"v", {{"prediction_type", "v_prediction"}}, ten, 1394.2185, {}},
      {"alpha to one", {{"beta_start", .01}, {"set_alpha_to_one", true}}, ten, 539.9622, {}},
      {"alpha not to one", {{"beta_start", .01}, {"set_alpha_to_one", false}}, ten, 542.6722, {}},
      {"the old name", {{"beta_start", .01}, {"set_alpha_to_zero", false}}, ten, 542.6722, {}},
  };
  for (const Row& row : rows) {
    const Tensor x = loop(*make_scheduler("ddim_inverse", row.config), row.options);
    EXPECT_NEAR(dummies::sum_abs(x), row.sum, 1e-5 * row.sum) << row.name;
    if (row.probe) EXPECT_NEAR(dummies::probe(x), *row.probe, 2e-5) << row.name;
  }
}

TEST(DdimInverse, GoesUp) {
  const auto timesteps = [](const Json& config) {
    return dummies::timesteps_of(make_scheduler("ddim_inverse", config)->start({.steps = 5}));
  };
  EXPECT_THAT(timesteps({}), ElementsAre(0, 200, 400, 600, 800));
  EXPECT_THAT(timesteps({{"timestep_spacing", "trailing"}}), ElementsAre(199, 399, 599, 799, 999));
}

TEST(DdimInverse, LeadsToTheNoiseThatDdimTurnsIntoThePicture) {
  const Json config{{"clip_sample", false}, {"timestep_spacing", "trailing"}};
  const Tensor picture = dummies::sample() - 0.5, eps = dummies::noise() - 0.3;
  const auto constant = [&](const Tensor&, const Tensor&) { return eps; };  // then no step makes an error
  const Tensor noise = loop(*make_scheduler("ddim_inverse", config), {.steps = 20}, picture, constant);
  const Tensor back = loop(*make_scheduler("ddim", config), {.steps = 20}, noise, constant);
  EXPECT_LT((back - picture).abs().max().item<double>(), 1e-4);
}

TEST(DdimInverse, IsFiniteWhereACleanPictureHoldsNoNoise) {
  const auto scheduler = make_scheduler("ddim_inverse", {{"prediction_type", "sample"}});
  EXPECT_TRUE(loop(*scheduler, {.steps = 10}).isfinite().all().item<bool>());
}

TEST(DdimInverse, RefusesASpacingThatItDoesNotHave) {
  EXPECT_THROW(make_scheduler("ddim_inverse", {{"timestep_spacing", "linspace"}}), Error);
}

}  // namespace
}  // namespace unnoise
