#include "apps/cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "apps/cli/errors.h"
#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Options {
  int64_t train_batch_size = 16;
  double learning_rate = 1e-4;
  bool center_crop = false;
  std::optional<bool> clip_sample;
  std::string output_dir = "out";
  std::vector<int64_t> seeds;
  static constexpr auto fields() {
    using O = Options;
    return std::tuple{field("train_batch_size", &O::train_batch_size, "pictures a step"),
                      field("learning_rate", &O::learning_rate, "peak"),
                      field("center_crop", &O::center_crop, "middle"),
                      field("clip_sample", &O::clip_sample, "clip"),
                      field("output_dir", &O::output_dir, "folder"),
                      field("seeds", &O::seeds, "one a picture")};
  }
};

struct Names {
  std::vector<std::string> names;
  bool json = false;
  int64_t rows = 20;
  static constexpr auto fields() {
    return std::tuple{field("names", &Names::names, "what to show"), field("json", &Names::json, "as JSON"),
                      field("rows", &Names::rows, "how many")};
  }
};

Options parse(const std::vector<std::string>& words) { return parse_options<Options>("train", words); }

/// The error's message and hint.
std::string failure(const std::vector<std::string>& words) {
  try {
    parse(words);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  return "no error";
}

TEST(Arguments, AcceptEverySpelling) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"--train-batch-size", "3"},
                                                                                     {"--train_batch_size", "3"},
                                                                                     {"--train-batch-size=3"},
                                                                                     {"--train_batch_size=3"}})
    EXPECT_EQ(parse(words).train_batch_size, 3);
  EXPECT_EQ(parse({"--learning-rate", "1e-5"}).learning_rate, 1e-5);
  EXPECT_EQ(parse({"--learning-rate", "-1"}).learning_rate, -1);
  EXPECT_THAT(parse({"--seeds", "1,2,-3"}).seeds, ElementsAre(1, 2, -3));
  EXPECT_EQ(parse({"--output-dir="}).output_dir, "");
  EXPECT_EQ(parse({"--output-dir", "[a,b] c=d"}).output_dir, "[a,b] c=d");
  EXPECT_EQ(parse({"--output-dir", "-"}).output_dir, "-");
}

TEST(Arguments, TurnSwitchesOnAndOff) {
  EXPECT_TRUE(parse({"--center-crop"}).center_crop);
  EXPECT_TRUE(parse({"--center_crop"}).center_crop);
  EXPECT_FALSE(parse({"--center-crop", "--no-center-crop"}).center_crop);
  EXPECT_FALSE(parse({"--center-crop", "--no_center_crop"}).center_crop);
  EXPECT_TRUE(parse({"--no-center-crop", "--center-crop"}).center_crop);
  EXPECT_FALSE(parse({"--center-crop=false"}).center_crop);
  EXPECT_EQ(parse({}).clip_sample, std::nullopt);
  EXPECT_EQ(parse({"--clip-sample"}).clip_sample, true);
  EXPECT_EQ(parse({"--clip-sample", "false"}).clip_sample, false);
  EXPECT_EQ(parse({"--no-clip-sample"}).clip_sample, false);
  EXPECT_EQ(parse({"--clip-sample=none"}).clip_sample, std::nullopt);
}

TEST(Arguments, TheLastValueCounts) { EXPECT_EQ(parse({"--output-dir", "a", "--output_dir=b"}).output_dir, "b"); }

TEST(Arguments, FlagsWinOverTheOptionsFile) {
  const std::string path = testing::TempDir() + "unnoise-options-" + std::to_string(::getpid()) + ".json";
  write_file_atomic(path, R"({"train_batch_size": 4, "output_dir": "file", "center_crop": true, "seeds": [1]})");
  const auto options = parse({"--output-dir", "flag", "--options", path, "--no-center-crop"});
  EXPECT_EQ(options.train_batch_size, 4);
  EXPECT_EQ(options.output_dir, "flag");
  EXPECT_FALSE(options.center_crop);
  EXPECT_THAT(options.seeds, ElementsAre(1));
  write_file_atomic(path, R"({"train_batch_sizes": 4})");
  EXPECT_THAT(failure({"--options", path}), HasSubstr("Did you mean \"train_batch_size\"?"));
  EXPECT_THAT(failure({"--options", path}), HasSubstr(path));
  fs::remove(path);
}

TEST(Arguments, NameTheNearestFlag) {
  EXPECT_THAT(failure({"--train-batchsize", "3"}),
              HasSubstr("unknown flag \"--train-batchsize\"\nDid you mean --train-batch-size?"));
  EXPECT_THAT(failure({"--no_centre_crop"}), HasSubstr("Did you mean --no-center-crop?"));
  EXPECT_THAT(failure({"--batch=3"}), HasSubstr("unknown flag \"--batch\"\nDid you mean --train-batch-size?"));
  EXPECT_THAT(failure({"--quux"}), HasSubstr("\"unnoise train --help\" lists the flags."));
  EXPECT_THAT(failure({"-b", "3"}), HasSubstr("unknown flag \"-b\""));
}

TEST(Arguments, NameTheFlagWhoseValueIsWrong) {
  EXPECT_THAT(
      failure({"--train-batch-size", "many"}),
      HasSubstr(
          "--train-batch-size: expected a whole number, found \"many\"\n--train-batch-size INT: pictures a step"));
  EXPECT_THAT(failure({"--learning-rate="}), HasSubstr("--learning-rate: expected a number"));
  EXPECT_THAT(failure({"--center-crop=perhaps"}), HasSubstr("--center-crop: expected true or false"));
  EXPECT_THAT(failure({"--output-dir"}), HasSubstr("--output-dir: a value is missing"));
  EXPECT_THAT(failure({"--output-dir", "--center-crop"}), HasSubstr("--output-dir: a value is missing"));
  EXPECT_THAT(failure({"--options"}), HasSubstr("--options: a value is missing"));
  EXPECT_THAT(failure({"stray"}), HasSubstr("unexpected word \"stray\""));
}

template <class E>
Failure described(const E& error) {
  return describe_failure(std::make_exception_ptr(error));
}

TEST(Errors, GiveTheExitCodeOfTheirKind) {
  EXPECT_EQ(described(usage_error("a", "b")).exit_code, 2);
  EXPECT_EQ(described(data_error("a", "b")).exit_code, 3);
  EXPECT_EQ(described(environment_error("a", "b")).exit_code, 4);
  EXPECT_EQ(described(std::bad_alloc()).exit_code, 4);
  EXPECT_EQ(described(std::logic_error("x")).exit_code, 1);
  EXPECT_EQ(described(42).exit_code, 1);
}

TEST(Errors, CutTheStackTraceOfLibTorch) {
  const auto bug = described(
      std::runtime_error("sizes differ\nException raised from f at g.cpp:1 (most recent call first):\nframe #0"));
  EXPECT_EQ(bug.message, "internal: sizes differ");
  EXPECT_THAT(bug.hint, HasSubstr("report"));
  const auto memory =
      described(std::runtime_error("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: "
                                   "you tried to allocate 12 bytes.\nException raised from x"));
  EXPECT_EQ(memory.exit_code, 4);
  EXPECT_THAT(memory.hint, HasSubstr("--train-batch-size"));
}

TEST(Arguments, NamesMayStandAlone) {
  const auto names = [](const std::vector<std::string>& words) {
    return parse_options_and_names<Names>("schedule", words).names;
  };
  EXPECT_THAT(names({"linear", "DPM++ 2M Karras"}), ElementsAre("linear", "DPM++ 2M Karras"));
  EXPECT_THAT(names({"linear", "--json", "--rows", "3", "sigmoid"}), ElementsAre("linear", "sigmoid"));
  EXPECT_THAT(names({"--names", "a,b", "c"}), ElementsAre("a", "b", "c"));
  EXPECT_THAT(names({"--rows=3"}), ElementsAre());
  EXPECT_THROW(names({"linear", "--row", "3"}), Error);
}

}  // namespace
}  // namespace unnoise::cli
