// Watches one forward pass: what each module put out, and how many multiply-adds it took.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "unnoise/nn/module.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// While a Trace lives, the layers and blocks called on its thread report to it (as at::NoGradGuard, a scope, not a
/// setting). Without one a report costs a thread-local read.
class Trace {
 public:
  struct Record {
    Shape output;
    int64_t multiply_adds = 0;  ///< the module's own, without its children's
  };

  Trace();
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// What `module` reported, nullptr if it was not called.
  const Record* find(const Module& module) const;

  static bool is_on() { return current_ != nullptr; }
  static void note(const Module& module, const Tensor& output, int64_t multiply_adds = 0) {
    if (current_) current_->add(module, output, multiply_adds);
  }

 private:
  void add(const Module& module, const Tensor& output, int64_t multiply_adds);

  static thread_local Trace* current_;
  Trace* outer_;
  std::unordered_map<const Module*, Record> records_;
};

}  // namespace unnoise
