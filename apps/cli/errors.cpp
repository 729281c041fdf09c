#include "apps/cli/errors.h"

#include <array>
#include <filesystem>
#include <new>
#include <string_view>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

constexpr const char* kLessMemory =
    "Try a smaller --train-batch-size (or --batch-size) or --resolution, --gradient-checkpointing, or close other "
    "programs.";
constexpr const char* kReport = "This is a bug in unnoise. Please report it with the command and the text above.";

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return kUsage;
    case ErrorKind::data:
      return kData;
    case ErrorKind::environment:
      return kEnvironment;
  }
  return kBug;
}

/// LibTorch appends where in its sources the exception was raised and a stack trace.
std::string without_backtrace(std::string_view text) {
  for (const std::string_view marker : {"\nException raised from", "Exception raised from", "\nC++ CapturedTraceback"})
    text = text.substr(0, text.find(marker));
  while (text.ends_with('\n') || text.ends_with(' ')) text.remove_suffix(1);
  return std::string(text);
}

bool is_out_of_memory(std::string_view text) {
  constexpr std::array<std::string_view, 3> kPhrases = {"not enough memory", "can't allocate memory", "out of memory"};
  for (const auto phrase : kPhrases)
    if (text.find(phrase) != std::string_view::npos) return true;
  return false;
}

}  // namespace

Failure describe_failure(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return {exit_code(e.kind()), e.message(), e.hint()};
  } catch (const std::bad_alloc&) {
    return {kEnvironment, "out of memory", kLessMemory};
  } catch (const std::filesystem::filesystem_error& e) {
    return {kEnvironment, e.what(), ""};
  } catch (const std::exception& e) {
    const std::string text = without_backtrace(e.what());
    if (is_out_of_memory(text)) return {kEnvironment, "out of memory: " + text, kLessMemory};
    return {kBug, "internal: " + text, kReport};
  } catch (...) {
    return {kBug, "internal: an unknown exception", kReport};
  }
}

int report_failure(const std::exception_ptr& error) {
  const Failure failure = describe_failure(error);
  std::string text = styled("error:", Style::red, Stream::error) + " " + failure.message + "\n";
  if (!failure.hint.empty()) text += styled("hint:", Style::cyan, Stream::error) + " " + failure.hint + "\n";
  write_error(text);
  return failure.exit_code;
}

}  // namespace unnoise::cli
