// DPM-Solver and its kin against diffusers' numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dummies.h"

namespace unnoise {
namespace {

using dummies::loop;
using dummies::Row;
using ::testing::ElementsAre;

Json merged(Json base, const Json& more) {
  base.update(more);
  return base;
}

void expect_dpm_rows(const char* sampler, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const Tensor x = loop(*make_scheduler(sampler, row.config), row.options);
    EXPECT_NEAR(dummies::sum_abs(x), row.sum, 2e-5 * row.sum) << row.name;  // six digits are quoted
    if (row.probe) EXPECT_NEAR(dummies::probe(x), *row.probe, 5e-5 * std::abs(*row.probe) + 1e-6) << row.name;
  }
}

std::vector<int64_t> timesteps(const char* sampler, const Json& config, const StartOptions& options = {.steps = 10}) {
  return dummies::timesteps_of(make_scheduler(sampler, config)->start(options));
}

const StartOptions kTen{.steps = 10}, kEleven{.steps = 11}, kTwenty{.steps = 20};
const Json kSigmaMin{{"final_sigmas_type", "sigma_min"}}, kV{{"prediction_type", "v_prediction"}};
const Json kFlow{{"use_flow_sigmas", true}, {"flow_shift", 3}, {"prediction_type", "flow_prediction"}};

Json method(const char* algorithm, int64_t order, const char* type = "midpoint") {
  return merged(kSigmaMin, {{"algorithm_type", algorithm}, {"solver_order", order}, {"solver_type", type}});
}

TEST(DpmMultistep, FullLoopsAreThoseOfDiffusers) {
  expect_dpm_rows(
      "dpm_multistep",
      {
          {"++ 1", method("dpmsolver++", 1), kTwenty, 184.876, 0.23413},
          {"++ 2", method("dpmsolver++", 2), kTwenty, 216.719, 0.27446},
          {"++ 2 heun", method("dpmsolver++", 2, "heun"), kTwenty, 227.549, 0.28818},
          {"++ 3", method("dpmsolver++", 3), kTwenty, 164.177, 0.20792},
          {"1", method("dpmsolver", 1), kTwenty, 184.876, 0.23413},
          {"2", method("dpmsolver", 2), kTwenty, 205.434, 0.26017},
          {"2 heun", method("dpmsolver", 2, "heun"), kTwenty, 200.36, 0.25374},
          {"3", method("dpmsolver", 3), kTwenty, 197.721, 0.2504},
          {"sde ++ 1", method("sde-dpmsolver++", 1), kTwenty, 251.695, -0.092872},
          {"sde ++ 2", method("sde-dpmsolver++", 2), kTwenty, 398.316, 0.85591},
          {"sde ++ 2 heun", method("sde-dpmsolver++", 2, "heun"), kTwenty, 533.656, 1.5529},
          {"sde ++ 3", method("sde-dpmsolver++", 3), kTwenty, 1229.65, 3.0117},
          {"sde 1", method("sde-dpmsolver", 1), kTwenty, 256.027, 0.20698},
          {"sde 2", method("sde-dpmsolver", 2), kTwenty, 290.735, -0.11944},
          {"sde 2 heun", method("sde-dpmsolver", 2, "heun"), kTwenty, 261.787, -0.070953},
          {"default", {}, kTen, 185.011, 0.2343},
          {"karras", {{"use_karras_sigmas", true}}, kTen, 226.186, 0.28645},
          {"exponential", {{"use_exponential_sigmas", true}}, kTen, 209.244, 0.26499},
          {"beta", {{"use_beta_sigmas", true}}, kTen, 64.925, 0.082224},
          {"leading", {{"timestep_spacing", "leading"}, {"steps_offset", 1}}, kTen, 187.276, 0.23717},
          {"trailing", {{"timestep_spacing", "trailing"}}, kTen, 185.265, 0.23463},
          {"v", kV, kTen, 75.662, 0.095821},
          {"lu", {{"use_lu_lambdas", true}}, kTen, 208.995, 0.26468},
          {"euler at final", merged(kSigmaMin, {{"euler_at_final", true}}), kTwenty, 196.904, 0.24937},
          {"clipped", {{"lambda_min_clipped", -5.1}, {"beta_schedule", "squaredcos_cap_v2"}}, kTen, 194.961, 0.2469},
          {"flow", kFlow, kTen, 137.282, 0.17386},
          {"thresholding",
           {{"thresholding", true}, {"dynamic_thresholding_ratio", .87}, {"sample_max_value", 1.5}},
           kTen,
           185.011,
           0.2343},
          {"zero SNR", merged(kV, {{"rescale_betas_zero_snr", true}, {"timestep_spacing", "trailing"}}), kTen, 75.3639,
           0.095443},
          {"sample", {{"prediction_type", "sample"}}, kTen, 727.086, 0.92081},
          {"own timesteps", {}, {.timesteps = std::vector<double>{999, 600, 200, 10}}, 187.121, 0.23698},
      });
}

TEST(DpmMultistep, TimestepsAreThoseOfDiffusers) {
  const auto of = [](const Json& config) { return timesteps("dpm_multistep", config); };
  EXPECT_THAT(of({}), ElementsAre(999, 899, 799, 699, 599, 500, 400, 300, 200, 100));
  EXPECT_THAT(of({{"use_karras_sigmas", true}}), ElementsAre(999, 937, 864, 775, 663, 511, 301, 102, 18, 0));
  EXPECT_THAT(of({{"timestep_spacing", "leading"}, {"steps_offset", 1}}),
              ElementsAre(901, 811, 721, 631, 541, 451, 361, 271, 181, 91));
  EXPECT_THAT(of({{"timestep_spacing", "trailing"}}), ElementsAre(999, 899, 799, 699, 599, 499, 399, 299, 199, 99));
  EXPECT_THAT(of({{"use_lu_lambdas", true}}), ElementsAre(999, 886, 757, 603, 410, 202, 73, 22, 5, 0));
  EXPECT_THAT(of({{"lambda_min_clipped", -5.1}, {"beta_schedule", "squaredcos_cap_v2"}}),
              ElementsAre(995, 896, 796, 696, 597, 498, 398, 298, 199, 100));
  EXPECT_THAT(of(kFlow), ElementsAre(999, 963, 922, 874, 817, 749, 666, 562, 428, 249));
}

TEST(DpmMultistep, BeginsInTheMiddleForImageToImage) {
  const auto scheduler = make_scheduler("dpm_multistep", merged(kSigmaMin, {{"lower_order_final", false}}));
  const StartOptions late{.steps = 10, .begin = 5};
  const Tensor x = scheduler->start(late).noised(dummies::sample(), dummies::noise());
  EXPECT_NEAR(dummies::sum_abs(loop(*scheduler, late, x, dummies::model)), 318.4111, 1e-2);  // diffusers' own tolerance
}

TEST(DpmSinglestep, FullLoopsAreThoseOfDiffusers) {
  expect_dpm_rows("dpm_singlestep",
                  {
                      {"++ 1", method("dpmsolver++", 1), kEleven, 174.581, 0.2211},
                      {"++ 2", method("dpmsolver++", 2), kEleven, 184.307, 0.23341},
                      {"++ 2 heun", method("dpmsolver++", 2, "heun"), kEleven, 188.914, 0.23925},
                      {"++ 3", method("dpmsolver++", 3), kEleven, 214.546, 0.27171},
                      {"++ 3 heun", method("dpmsolver++", 3, "heun"), kEleven, 242.549, 0.30717},
                      {"1", method("dpmsolver", 1), kEleven, 174.581, 0.2211},
                      {"2", method("dpmsolver", 2), kEleven, 200.343, 0.25372},
                      {"2 heun", method("dpmsolver", 2, "heun"), kEleven, 192.652, 0.24398},
                      {"3", method("dpmsolver", 3), kEleven, 268.408, 0.33992},
                      {"3 heun", method("dpmsolver", 3, "heun"), kEleven, 211.479, 0.26782},
                      {"sde ++ 1", method("sde-dpmsolver++", 1), kEleven, 244.722, -1.3326},
                      {"sde ++ 2", method("sde-dpmsolver++", 2), kEleven, 232.434, -1.1347},
                      {"sde ++ 2 heun", method("sde-dpmsolver++", 2, "heun"), kEleven, 254.152, -1.1836},
                      {"sde ++ 3", method("sde-dpmsolver++", 3), kEleven, 373.36, -1.4971},
                      {"sde ++ 3 heun", method("sde-dpmsolver++", 3, "heun"), kEleven, 815.775, -2.6515},
                      {"default", {}, kTen, 174.94, 0.22155},
                      {"karras", {{"use_karras_sigmas", true}}, kTen, 171.942, 0.21775},
                      {"exponential", {{"use_exponential_sigmas", true}}, kTen, 177.944, 0.22535},
                      {"beta", {{"use_beta_sigmas", true}}, kTen, 33.9897, 0.043046},
                      {"flow",
                       {{"use_flow_sigmas", true}, {"flow_shift", 3}, {"prediction_type", "flow_prediction"}},
                       kTen,
                       132.771,
                       0.16815},
                  });
}

TEST(DpmSinglestep, BeginsInTheMiddleForImageToImage) {
  const auto scheduler = make_scheduler("dpm_singlestep", kSigmaMin);
  const StartOptions late{.steps = 10, .begin = 5};
  const Tensor x = scheduler->start(late).noised(dummies::sample(), dummies::noise());
  EXPECT_NEAR(dummies::sum_abs(loop(*scheduler, late, x, dummies::model)), 269.2187, 1e-2);
}

TEST(UniPc, FullLoopsAreThoseOfDiffusers) {
  const Json third{{"solver_order", 3}};
  expect_dpm_rows(
      "unipc",
      {
          {"1", {{"solver_order", 1}}, kTen, 175.876, 0.22274},
          {"2", {}, kTen, 186.762, 0.23652},
          {"3", third, kTen, 187.5, 0.23746},
          {"3 over eps", merged(merged(third, kSigmaMin), {{"predict_x0", false}}), kTen, 185.523, 0.23495},
          {"uncorrected", {{"disable_corrector", {0, 1}}}, kTen, 186.757, 0.23652},
          {"full order to the end", merged(merged(third, kSigmaMin), {{"lower_order_final", false}}), kTen, 89.077,
           0.11281},
          {"karras", {{"use_karras_sigmas", true}}, kTen, 230.178, 0.29151},
          {"exponential", {{"use_exponential_sigmas", true}}, kTen, 210.032, 0.26599},
          {"beta", {{"use_beta_sigmas", true}}, kTen, 64.9509, 0.082255},
          {"leading", {{"timestep_spacing", "leading"}, {"steps_offset", 1}}, kTen, 188.564, 0.2388},
          {"trailing", {{"timestep_spacing", "trailing"}}, kTen, 187.023, 0.23685},
          {"v", kV, kTen, 76.5825, 0.096987},
          {"flow", kFlow, kTen, 137.389, 0.17399},
          {"flow, mu", merged(kFlow, {{"use_dynamic_shifting", true}}), {.steps = 10, .mu = 0.8}, 139.683, 0.1769},
      });
}

TEST(UniPc, GridsAreThoseOfDiffusers) {
  EXPECT_THAT(timesteps("unipc", kFlow), ElementsAre(999, 964, 923, 875, 818, 750, 667, 563, 429, 251));
  EXPECT_THAT(timesteps("unipc", merged(kFlow, {{"use_dynamic_shifting", true}}), {.steps = 10, .mu = 0.8}),
              ElementsAre(999, 952, 899, 838, 769, 690, 597, 489, 358, 199));
  const Json both{{"use_flow_sigmas", true}, {"use_karras_sigmas", true}, {"sigma_min", .01}, {"sigma_max", 200.0}};
  const auto sigmas = make_scheduler("unipc", both)->start({.steps = 5}).sigmas();
  const std::vector<double> expected{.9950248599, .9787454605, .8774884343, .3604971766, .0099009862, 0};
  EXPECT_THAT(sigmas, ::testing::Pointwise(::testing::DoubleNear(1e-7), expected));
}

TEST(UniPc, FirstChoiceOfBhReachesThePurePicture) {  // NaN in diffusers: 0 times an infinite h
  for (const int64_t order : {1, 2, 3}) {
    const auto last = loop(*make_scheduler("unipc", {{"solver_type", "bh1"}, {"solver_order", order}}), kTen);
    const auto other = loop(*make_scheduler("unipc", {{"solver_order", order}}), kTen);
    EXPECT_LT((last - other).abs().max().item<double>(), 0.1) << order;
  }
}

TEST(UniPc, BeginsInTheMiddleForImageToImage) {
  const auto scheduler = make_scheduler("unipc", kSigmaMin);
  const StartOptions late{.steps = 10, .begin = 8};
  const Tensor x = scheduler->start(late).noised(dummies::sample(), dummies::noise());
  EXPECT_NEAR(dummies::sum_abs(loop(*scheduler, late, x, dummies::model)), 315.5757, 1e-2);
}

TEST(Deis, FullLoopsAreThoseOfDiffusers) {
  expect_dpm_rows("deis", {
                              {"1", {{"solver_order", 1}}, kTen, 172.264, 0.21816},
                              {"2", {}, kTen, 183.676, 0.23261},
                              {"3", {{"solver_order", 3}}, kTen, 185.58, 0.23502},
                              {"karras", {{"use_karras_sigmas", true}}, kTen, 188.764, 0.23906},
                              {"exponential", {{"use_exponential_sigmas", true}}, kTen, 188.917, 0.23925},
                              {"beta", {{"use_beta_sigmas", true}}, kTen, 44.296, 0.056097},
                              {"trailing", {{"timestep_spacing", "trailing"}}, kTen, 183.871, 0.23286},
                              {"v", kV, kTen, 69.9436, 0.088579},
                          });
}

TEST(Deis, BeginsInTheMiddleForImageToImage) {
  const auto scheduler = make_scheduler("deis");
  const StartOptions late{.steps = 10, .begin = 8};
  const Tensor x = scheduler->start(late).noised(dummies::sample(), dummies::noise());
  EXPECT_NEAR(dummies::sum_abs(loop(*scheduler, late, x, dummies::model)), 315.3016, 1e-2);
}

TEST(DpmMultistepInverse, FullLoopsAreThoseOfDiffusers) {
  expect_dpm_rows("dpm_multistep_inverse",
                  {
                      {"default", {}, kTen, 541.273, 0.68549},
                      {"karras", {{"use_karras_sigmas", true}}, kTen, 681.406, 0.86296},
                      {"3, trailing", {{"solver_order", 3}, {"timestep_spacing", "trailing"}}, kTen, 557.426, 0.70594},
                  });
  const auto of = [](const Json& config) { return timesteps("dpm_multistep_inverse", config); };
  EXPECT_THAT(of({}), ElementsAre(0, 100, 200, 300, 400, 500, 599, 699, 799, 899));
  EXPECT_THAT(of({{"use_karras_sigmas", true}}), ElementsAre(0, 18, 102, 301, 511, 663, 775, 864, 937, 999));
  EXPECT_THAT(of({{"timestep_spacing", "trailing"}}), ElementsAre(99, 199, 299, 399, 499, 599, 699, 799, 899, 999));
}

TEST(SaSolver, FullLoopsAreThoseOfDiffusers) {
  const auto orders = [](int64_t predictor, int64_t corrector) {
    return Json{{"predictor_order", predictor}, {"corrector_order", corrector}};
  };
  expect_dpm_rows("sa_solver", {
                                   {"1, 1", orders(1, 1), kTen, 251.228, -1.2423},
                                   {"2, 2", orders(2, 2), kTen, 341.58, -1.5332},
                                   {"3, 3", orders(3, 3), kTen, 337.786, -1.5018},
                                   {"3, 4", orders(3, 4), kTen, 337.426, -1.5024},
                                   {"2, 1", orders(2, 1), kTen, 346.162, -1.5564},
                                   {"over eps", {{"algorithm_type", "noise_prediction"}}, kTen, 29721.3, 18.975},
                                   {"karras", {{"use_karras_sigmas", true}}, kTen, 786.34, -3.1436},
                                   {"v", kV, kTen, 201.591, -0.94215},
                               });
}

/// `sample()` at the level of the first step, as diffusers' tests have it.
Tensor edm_loop(const char* sampler, const Json& config, const StartOptions& options = {.steps = 10}) {
  const double init = std::sqrt(80.0 * 80.0 + 1);
  return loop(*make_scheduler(sampler, config), options, dummies::sample() * init, dummies::model);
}

TEST(Edm, FullLoopsAreThoseOfDiffusers) {
  const Json exponential{{"sigma_schedule", "exponential"}}, third{{"solver_order", 3}};
  const StartOptions churned{.steps = 10, .s_churn = 5};
  struct EdmRow {
    const char* sampler;
    Json config;
    StartOptions options;
    double sum, probe;
  };
  const std::vector<EdmRow> rows{
      {"edm_euler", {}, kTen, 34.1855, -0.043294},
      {"edm_euler", exponential, kTen, 21.7473, 0.027542},
      {"edm_euler", kV, kTen, 380.92, 0.48241},
      {"edm_euler", {}, churned, 124.165, 0.65154},
      {"edm_euler", kSigmaMin, kTen, 33.8066, -0.042814},
      {"edm_dpm_multistep", {{"solver_order", 1}}, kTen, 34.1852, -0.043293},
      {"edm_dpm_multistep", {}, kTen, 137.162, -0.17371},
      {"edm_dpm_multistep", third, kTen, 146.279, -0.18525},
      {"edm_dpm_multistep", {{"solver_type", "heun"}}, kTen, 176.91, -0.22404},
      {"edm_dpm_multistep", {{"algorithm_type", "sde-dpmsolver++"}}, kTen, 221.159, 0.94201},
      {"edm_dpm_multistep", exponential, kTen, 21.3569, -0.027047},
      {"edm_dpm_multistep", kV, kTen, 996.12, 1.2615},
  };
  for (const auto& row : rows) {
    const Tensor x = edm_loop(row.sampler, row.config, row.options);
    EXPECT_NEAR(dummies::sum_abs(x), row.sum, 2e-5 * row.sum) << row.sampler << row.config;
    EXPECT_NEAR(dummies::probe(x), row.probe, 3e-5 * std::abs(row.probe) + 1e-6) << row.sampler << row.config;
  }
}

TEST(Edm, TellsTheNetworkALogarithm) {
  const auto run = make_scheduler("edm_euler")->start(kTen);
  const std::vector<double> expected{1.09551,  0.936877,  0.762421,  0.568629,  0.350673,
                                     0.101656, -0.188767, -0.537169, -0.972622, -1.55365};
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(run.steps()[i].timestep.item<double>(), expected[i], 1e-5) << i;
}

}  // namespace
}  // namespace unnoise
