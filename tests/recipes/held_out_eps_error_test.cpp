#include "unnoise/recipes/held_out_eps_error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>

#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

// For data N(0, I) the best guess at x0 is alpha xt / (alpha^2 + sigma^2), with error 1 / (1 + snr); so the error of
// eps is snr / (1 + snr) whatever the network answers with.
double perfect_error(double snr) { return snr / (1 + snr); }

struct Kind {
  const char* name;
  std::shared_ptr<const NoiseProcess> process;
};

std::vector<Kind> kinds() {
  NoiseOptions cosine;
  cosine.beta_schedule = BetaSchedule::squaredcos_cap_v2;
  return {{"eps, linear", table_process(NoiseSchedule(), PredictionType::epsilon)},
          {"x0, linear", table_process(NoiseSchedule(), PredictionType::sample)},
          {"v, cosine", table_process(NoiseSchedule(cosine), PredictionType::v_prediction)},
          {"EDM", edm_process(1.0)},
          {"flow", flow_process()}};
}

TEST(HeldOutEpsError, LevelsHaveTheSignalToNoiseRatioThatIsAsked) {
  for (const auto& [name, process] : kinds())
    for (const double snr : {1e-3, 0.1, 1.0, 50.0}) {
      const Tensor level = level_of_snr(*process, snr).reshape({1});
      // A table's neighbouring timesteps are some percent apart.
      EXPECT_NEAR(std::log(process->snr(level).item<double>() / snr), 0, 0.03) << name << " " << snr;
    }
}

// A perfect network of each kind, made from the same guess at x0, has the same error in every bin: that is what makes
// runs of different objectives comparable.
TEST(HeldOutEpsError, PerfectDenoisersOfAllObjectivesScoreTheSame) {
  Rng rng(3);
  const Tensor x0 = rng.normal({64, 1, 16, 16});
  const NoiseSchedule reference;
  for (const auto& [name, process] : kinds()) {
    Tensor level_now;
    const NoiseProcess& p = *process;
    // The answer that stands for the best x0: target(x0_hat, eps_hat) with eps_hat from xt, all linear in the picture.
    class Recorder final : public NoiseProcess {
     public:
      Recorder(const NoiseProcess& p, Tensor& level, Tensor& xt) : p_(p), level_(level), xt_(xt) {}
      Tensor draw(const LevelDraw& how, int64_t batch, Rng& rng) const override { return p_.draw(how, batch, rng); }
      Tensor add_noise(const Tensor& x0, const Tensor& eps, const Tensor& level) const override {
        level_ = level;
        return xt_ = p_.add_noise(x0, eps, level);
      }
      Tensor input(const Tensor& xt, const Tensor& level) const override { return p_.input(xt, level); }
      Tensor timesteps(const Tensor& level) const override { return p_.timesteps(level); }
      Tensor target(const Tensor& x0, const Tensor& eps, const Tensor& l) const override {
        return p_.target(x0, eps, l);
      }
      Tensor x0(const Tensor& xt, const Tensor& out, const Tensor& l) const override { return p_.x0(xt, out, l); }
      Tensor snr(const Tensor& level) const override { return p_.snr(level); }
      Tensor gain(const Tensor& level) const override { return p_.gain(level); }
      const NoiseSchedule* table() const override { return p_.table(); }

     private:
      const NoiseProcess& p_;
      Tensor& level_;
      Tensor& xt_;
    };
    Tensor xt_now;
    const Recorder recorder(p, level_now, xt_now);
    const HeldOutNetwork perfect = [&](const Tensor&, const Tensor&, const Tensor&) {
      const Tensor zero = at::zeros_like(xt_now);
      const Tensor alpha = p.add_noise(zero + 1, zero, level_now), sigma = p.add_noise(zero, zero + 1, level_now);
      const Tensor x0_hat = alpha * xt_now / (alpha.square() + sigma.square());
      return p.target(x0_hat, (xt_now - alpha * x0_hat) / sigma, level_now);
    };
    const auto bins = eps_errors({perfect, recorder}, {x0, {}});
    ASSERT_EQ(static_cast<int64_t>(bins.size()), kHeldOutBins);
    for (size_t bin = 0; bin < bins.size(); ++bin) {
      double expected = 0;
      for (int64_t t = 0; t < 100; ++t) {
        const double abar = reference.alpha_bar(static_cast<int64_t>(bin) * 100 + t);
        expected += perfect_error(abar / (1 - abar)) / 100;
      }
      // 16,384 squared normal numbers: 1.1 % standard deviation; the drawn levels and a table's steps add about as
      // much.
      EXPECT_NEAR(bins[bin] / expected, 1, 0.06) << name << " bin " << bin;
    }
  }
}

}  // namespace
}  // namespace unnoise
