#include "unnoise/recipes/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using ::testing::ElementsAre;
using Existing = RunFolder::Existing;

class RunFolders : public ::testing::Test {
 protected:
  void SetUp() override { path_ = fs::temp_directory_path() / ("unnoise-run-" + std::to_string(::getpid())); }
  void TearDown() override { fs::remove_all(path_); }
  void add_checkpoint(const std::string& name) {
    write_folder_atomic(path_ / name, [](const fs::path& d) { write_file_atomic(d / "x", ""); });
  }
  fs::path path_;
};

TEST_F(RunFolders, CheckpointsSortByNumberAndTheOldestGoFirst) {
  const RunFolder run(path_, Existing::refuse);
  for (const char* name : {"checkpoint-9", "checkpoint-10", "checkpoint-100", "checkpoint-x", "checkpoint-"})
    add_checkpoint(name);
  EXPECT_THAT(checkpoint_steps(path_), ElementsAre(9, 10, 100));
  EXPECT_EQ(find_checkpoint(path_, "latest"), path_ / "checkpoint-100");
  EXPECT_EQ(find_checkpoint(path_, "checkpoint-9"), path_ / "checkpoint-9");
  EXPECT_THROW(find_checkpoint(path_, "checkpoint-11"), Error);
  run.prune_checkpoints(2);
  EXPECT_THAT(checkpoint_steps(path_), ElementsAre(10, 100));
}

TEST_F(RunFolders, AnEarlierRunIsRefusedReplacedOrKept) {
  { const RunFolder first(path_, Existing::refuse); }
  write_file_atomic(path_ / "log.jsonl", "{}\n");
  write_file_atomic(path_ / "notes.txt", "mine");
  EXPECT_THROW(RunFolder(path_, Existing::refuse), Error);
  { const RunFolder kept(path_, Existing::resume); }
  EXPECT_TRUE(fs::exists(path_ / "log.jsonl"));
  { const RunFolder replaced(path_, Existing::replace); }
  EXPECT_FALSE(fs::exists(path_ / "log.jsonl"));
  EXPECT_TRUE(fs::exists(path_ / "notes.txt"));  // not the run's own
}

TEST_F(RunFolders, ReplacingAFolderThatHoldsNoRunTouchesNothing) {
  make_folders(path_ / "samples");
  write_file_atomic(path_ / "samples" / "holiday.png", "mine");
  { const RunFolder run(path_, Existing::replace); }
  EXPECT_TRUE(fs::exists(path_ / "samples" / "holiday.png"));
}

TEST_F(RunFolders, OnlyOneProcessMayTrainInAFolder) {
  const RunFolder first(path_, Existing::refuse);
  EXPECT_THROW(RunFolder(path_, Existing::resume), Error);
}

TEST_F(RunFolders, LeftoversOfAnInterruptedSaveAreRemoved) {
  make_folders(path_ / ".unfinished-new-checkpoint-4-123");
  const RunFolder run(path_, Existing::resume);
  EXPECT_FALSE(fs::exists(path_ / ".unfinished-new-checkpoint-4-123"));
}

}  // namespace
}  // namespace unnoise
