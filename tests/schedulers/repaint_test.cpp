// RePaint against diffusers' pipeline, and what it promises about the known part.
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dummies.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using dummies::loop;
using ::testing::ElementsAre;

std::shared_ptr<const KnownPixels> known(Tensor image, Tensor mask) {
  return std::make_shared<KnownPixels>(KnownPixels{std::move(image), std::move(mask)});
}

TEST(Repaint, FullLoopIsThatOfDiffusersPipeline) {
  StartOptions options{.steps = 5, .jump_length = 2, .jump_n_sample = 2};
  options.known = known(dummies::noise(), (dummies::sample() > 0.5).to(at::kFloat));
  const auto scheduler = make_scheduler("repaint");
  EXPECT_THAT(dummies::timesteps_of(scheduler->start(options)), ElementsAre(800, 600, 400, 600, 400, 200, 0, 200, 0));
  const Tensor x = loop(*scheduler, options);
  EXPECT_NEAR(dummies::sum_abs(x), 243.881, 3e-3);
  EXPECT_NEAR(dummies::probe(x), -0.22654, 2e-5);
}

TEST(Repaint, HasThePapersNumberOfSteps) {
  auto run = make_scheduler("repaint")->start({.steps = 250});
  EXPECT_EQ(run.steps().size(), 2410u);  // of 4570 in all, 2160 are jumps back
}

TEST(Repaint, LeavesTheKnownPartAsItIs) {
  const Tensor image = dummies::noise() * 2 - 1;
  Tensor mask = at::zeros({1, 1, 8, 8});
  mask.slice(3, 0, 4).fill_(1);
  StartOptions options{.steps = 10, .jump_length = 3, .jump_n_sample = 2};
  options.known = known(image, mask);
  const Tensor x = loop(*make_scheduler("repaint"), options);
  EXPECT_TRUE(x.slice(3, 0, 4).equal(image.slice(3, 0, 4)));
  EXPECT_FALSE(x.slice(3, 4, 8).equal(image.slice(3, 4, 8)));
}

TEST(Repaint, RefusesBadInput) {
  const auto scheduler = make_scheduler("repaint");
  EXPECT_THROW(scheduler->start({.steps = 10, .eta = 2}), Error);
  EXPECT_THROW(scheduler->start({.steps = 10, .jump_length = 0}), Error);
  EXPECT_THROW(scheduler->start({.steps = 10, .jump_n_sample = 0}), Error);
  EXPECT_THROW(scheduler->start({.steps = 250, .jump_n_sample = 1'000'000'000'000}), Error);
  EXPECT_THROW(scheduler->start({.steps = 0}), Error);
  StartOptions options{.steps = 10};
  options.known = known(at::zeros({1, 3, 8, 8}), at::ones({1, 1, 4, 4}));
  EXPECT_THROW(scheduler->start(options), Error);
  options.known = known({}, {});
  EXPECT_THROW(scheduler->start(options), Error);
  EXPECT_THROW(make_scheduler("repaint", {{"prediction_type", "v_prediction"}}), Error);
  EXPECT_THROW(
      make_scheduler("ddim")->start({.steps = 10, .known = known(at::zeros({1, 3, 8, 8}), at::ones({1, 1, 8, 8}))}),
      Error);
}

}  // namespace
}  // namespace unnoise
