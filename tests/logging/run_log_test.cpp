#include "unnoise/logging/run_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using testing::HasSubstr;

class RunLogFile : public testing::Test {
 protected:
  RunLogFile() : folder_(fs::temp_directory_path() / ("unnoise-run-log-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    make_folders(folder_);
  }
  ~RunLogFile() override { fs::remove_all(folder_); }

  fs::path path() const { return folder_ / "log.jsonl"; }
  static Json record(int64_t step) { return {{"step", step}, {"loss", 1.0 / static_cast<double>(step + 1)}}; }
  void run(RunLog log, int64_t from, int64_t to) {
    for (int64_t step = from; step <= to; ++step) log.append(record(step));
  }

  fs::path folder_;
};

TEST_F(RunLogFile, IsOnDiskLineByLine) {
  RunLog log(path());
  log.append(record(1));
  EXPECT_EQ(read_file(path()), "{\"loss\":0.5,\"step\":1}\n");
  log.append(record(2));
  EXPECT_EQ(read_run_log(path()), (std::vector<Json>{record(1), record(2)}));
}

TEST_F(RunLogFile, OfAResumedRunEqualsTheUninterruptedOne) {
  run(RunLog(path()), 1, 20);
  const std::string whole = read_file(path());
  run(RunLog(path()), 1, 13);
  run(RunLog(path(), 10), 11, 20);
  EXPECT_EQ(read_file(path()), whole);
}

TEST_F(RunLogFile, DropsALineThatAKillCutShort) {
  run(RunLog(path()), 1, 3);
  const std::string whole = read_file(path());
  write_file_atomic(path(), whole + "{\"step\": 4, \"lo");
  EXPECT_EQ(read_run_log(path()).size(), 3u);
  run(RunLog(path(), 3), 4, 4);
  EXPECT_EQ(read_run_log(path()), (std::vector<Json>{record(1), record(2), record(3), record(4)}));
}

TEST_F(RunLogFile, StartsEmptyUnlessResumed) {
  run(RunLog(path()), 1, 3);
  run(RunLog(path()), 7, 7);
  EXPECT_EQ(read_run_log(path()), std::vector<Json>{record(7)});
}

TEST_F(RunLogFile, ResumesWhereThereIsNoLogYet) {
  run(RunLog(path(), 5), 6, 6);
  EXPECT_EQ(read_run_log(path()), std::vector<Json>{record(6)});
}

TEST_F(RunLogFile, KeepsLossesThatAreNotFinite) {
  RunLog log(path());
  log.append({{"step", 1}, {"loss", std::nan("")}});
  EXPECT_THAT(read_file(path()), HasSubstr("NaN"));
  EXPECT_TRUE(read_run_log(path())[0]["loss"].is_null());
}

TEST_F(RunLogFile, NamesADamagedLine) {
  write_file_atomic(path(), "{\"step\":1}\nnonsense\n{\"step\":3}\n");
  for (const auto& read :
       {std::function<void()>([&] { read_run_log(path()); }), std::function<void()>([&] { RunLog(path(), 9); })}) {
    try {
      read();
      FAIL() << "expected an Error";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::data);
      EXPECT_THAT(e.message(), HasSubstr("line 2"));
    }
  }
  EXPECT_THAT(read_file(path()), HasSubstr("nonsense"));  // nothing was lost
}

TEST_F(RunLogFile, RejectsARecordWithoutStep) {
  RunLog log(path());
  EXPECT_THROW(log.append({{"loss", 1.0}}), Error);
  EXPECT_THROW(log.append({{"step", "one"}}), Error);
  EXPECT_EQ(read_file(path()), "");
}

TEST(AppendFile, SaysThatTheDiskIsFull) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  AppendFile file("/dev/full");
  try {
    file.append("x");
    FAIL() << "expected an Error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::environment);
    EXPECT_THAT(e.hint(), HasSubstr("disk is full"));
  }
}

}  // namespace
}  // namespace unnoise
