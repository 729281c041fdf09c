#include "unnoise/core/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"

namespace unnoise {
namespace {

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("unnoise-files-" + std::to_string(::getpid()));
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  size_t entries() const { return std::distance(fs::directory_iterator(dir_), fs::directory_iterator()); }
  fs::path dir_;
};

TEST_F(Files, AtomicFileReplacesWholeOrNotAtAll) {
  write_file_atomic(dir_ / "a", "one");
  {
    AtomicFile unfinished(dir_ / "a");
    unfinished.write("tw");
  }
  EXPECT_EQ(read_file(dir_ / "a"), "one");
  write_file_atomic(dir_ / "a", "two");
  EXPECT_EQ(read_file(dir_ / "a"), "two");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, AtomicFolderKeepsTheOldOneWhenFillingFails) {
  const auto fill = [](std::string text) { return [text](const fs::path& d) { write_file_atomic(d / "x", text); }; };
  write_folder_atomic(dir_ / "f", fill("old"));
  EXPECT_THROW(write_folder_atomic(dir_ / "f",
                                   [](const fs::path& d) {
                                     write_file_atomic(d / "x", "new");
                                     throw data_error("no");
                                   }),
               Error);
  EXPECT_EQ(read_file(dir_ / "f" / "x"), "old");
  write_folder_atomic(dir_ / "f", fill("new"));
  EXPECT_EQ(read_file(dir_ / "f" / "x"), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, ErrorsNameThePath) {
  try {
    read_file(dir_ / "none");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::data);
    EXPECT_THAT(e.what(), ::testing::HasSubstr("none"));
  }
  write_file_atomic(dir_ / "file", "x");
  EXPECT_THROW(make_folders(dir_ / "file" / "below"), Error);
}

TEST_F(Files, JsonIsWrittenAsPythonWritesIt) {
  const Json json{{"b", Json::array({1, 2})}, {"a", 1e-05}, {"empty", Json::array()}, {"name", "\u00e9"}};
  EXPECT_EQ(dump_json(json),
            "{\n  \"a\": 1e-05,\n  \"b\": [\n    1,\n    2\n  ],\n  \"empty\": [],\n  \"name\": \"\\u00e9\"\n}\n");
}

TEST_F(Files, JsonInfinitiesSurviveARoundTrip) {
  const Json json = parse_json(R"({"lambda_min_clipped": -Infinity, "x": [Infinity], "text": "Infinity"})", "test");
  EXPECT_TRUE(std::isinf(json["lambda_min_clipped"].get<double>()));
  EXPECT_EQ(dump_json_line(json), R"({"lambda_min_clipped":-Infinity,"text":"Infinity","x":[Infinity]})");
}

TEST_F(Files, BadJsonIsADataError) {
  EXPECT_THROW(parse_json("{\"a\": ", "test"), Error);
  EXPECT_THROW(parse_json(std::string(100000, '['), "test"), Error);
}

}  // namespace
}  // namespace unnoise
