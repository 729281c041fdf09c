// What the program says when something went wrong, and the exit code that goes with it.
#pragma once

#include <exception>
#include <string>

namespace unnoise::cli {

struct Failure {
  int exit_code;
  std::string message;
  std::string hint;  ///< "" = none
};

/// An Error by its kind; memory that cannot be had is the environment's fault; anything else is a bug of ours, with the
/// text of LibTorch's exceptions cut before the stack trace.
Failure describe_failure(const std::exception_ptr& error);

/// Prints "error: ..." and "hint: ..." on standard error and returns the exit code.
int report_failure(const std::exception_ptr& error);

}  // namespace unnoise::cli
