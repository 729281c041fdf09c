#include "unnoise/data/content_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace unnoise {
namespace {

using Pixels = std::vector<std::vector<uint8_t>>;

/// Pictures in memory, each of one grey pixel row.
class Rows final : public Dataset {
 public:
  explicit Rows(Pixels rows, std::optional<int64_t> label = std::nullopt) : rows_(std::move(rows)), label_(label) {}
  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  DecodedImage read(int64_t i) const override {
    const auto& row = rows_[static_cast<size_t>(i)];
    return {.width = static_cast<int64_t>(row.size()), .height = 1, .mode = "L", .pixels = row};
  }
  std::string name(int64_t i) const override { return std::to_string(i); }
  std::optional<int64_t> label(int64_t) const override { return label_; }

 private:
  Pixels rows_;
  std::optional<int64_t> label_;
};

TEST(ContentHash, OrderDoesNotCountButContentDoes) {
  const std::string hash = content_hash(Rows(Pixels{{1, 2}, {3, 4}, {5, 6}}));
  EXPECT_THAT(hash, ::testing::MatchesRegex("pixels-[0-9a-f]{16}"));
  EXPECT_EQ(hash, content_hash(Rows(Pixels{{5, 6}, {1, 2}, {3, 4}})));
  EXPECT_NE(hash, content_hash(Rows(Pixels{{1, 2}, {3, 4}, {5, 7}})));     // a pixel
  EXPECT_NE(hash, content_hash(Rows(Pixels{{1, 2}, {3, 4}})));             // one less
  EXPECT_NE(hash, content_hash(Rows(Pixels{{1, 2}, {3, 4}, {5, 6}}, 1)));  // labels
  EXPECT_NE(hash, content_hash(Rows(Pixels{{1, 2, 3}, {4}, {5, 6}})));     // the same bytes, other pictures
  EXPECT_NE(content_hash(Rows(Pixels{{1}, {1}})), content_hash(Rows(Pixels{{2}, {2}})));
}

TEST(ContentHash, IsTheSameEverywhere) {
  // Written down once: recipes hold such hashes, so the function may never change.
  EXPECT_EQ(content_hash(Rows(Pixels{{0, 128, 255}}, 7)), "pixels-93148abd37256436");
}

}  // namespace
}  // namespace unnoise
