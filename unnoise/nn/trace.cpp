#include "unnoise/nn/trace.h"

namespace unnoise {

thread_local Trace* Trace::current_ = nullptr;

Trace::Trace() : outer_(current_) { current_ = this; }

Trace::~Trace() { current_ = outer_; }

const Trace::Record* Trace::find(const Module& module) const {
  const auto found = records_.find(&module);
  return found == records_.end() ? nullptr : &found->second;
}

void Trace::add(const Module& module, const Tensor& output, int64_t multiply_adds) {
  Record& record = records_[&module];
  record.output = output.sizes().vec();
  record.multiply_adds += multiply_adds;  // a module may be called more than once
}

}  // namespace unnoise
