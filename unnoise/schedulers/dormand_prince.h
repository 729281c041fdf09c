// An adaptive solver of dy/ds = f(s, y) that does not call f: it says where f is wanted and is told what it was. So the
// same method drives a sampler, whose network is called by someone else's loop, and a likelihood.
//
// Dormand & Prince 1980, "A family of embedded Runge-Kutta formulae", the 5(4) pair; step control as in Hairer, Norsett
// & Wanner 1993, "Solving Ordinary Differential Equations I", section II.4.
#pragma once

#include <vector>

#include "unnoise/nn/tensor.h"

namespace unnoise {

struct OdeTolerance {
  double rtol = 1e-3;  ///< error that a step may make, relative to |y|
  double atol = 1e-3;  ///< and in y's own unit
};

struct OdeSteps {
  double first;    ///< length of the first step to try
  double longest;  ///< no step is longer: the error's estimate is blind to what happens between its seven points
};

/// Throws Error::usage when one is not above 0.
void check_tolerance(const OdeTolerance& tolerance);

class DormandPrince {
 public:
  /// From y at `begin` to `end` (either direction). y [B,...]: a step is as long as its worst row allows.
  DormandPrince(Tensor y, double begin, double end, const OdeSteps& steps, const OdeTolerance& tolerance);

  bool is_done() const { return done_; }
  /// Where the derivative is wanted next; when done, the end.
  double s() const { return stage_s_; }
  const Tensor& y() const { return stage_y_; }
  /// Takes f(s(), y()). Error::data when the error stays too large however short the step.
  void advance(Tensor derivative);

  int64_t accepted() const { return accepted_; }
  int64_t rejected() const { return rejected_; }

 private:
  void begin_step();
  void next_stage();
  void finish_step();

  Tensor y_;  // at s_, where the current step begins
  double s_, end_, h_;
  const double longest_;
  const OdeTolerance tolerance_;
  std::vector<Tensor> k_;  // derivatives of the stages so far; the last stage is the next step's first
  Tensor stage_y_;
  double stage_s_;
  bool done_ = false, is_last_step_ = false;
  int64_t accepted_ = 0, rejected_ = 0;
};

}  // namespace unnoise
