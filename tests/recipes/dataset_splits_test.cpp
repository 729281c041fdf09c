#include "unnoise/recipes/dataset_splits.h"

#include <gmock/gmock.h>

#include <set>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

class Labelled final : public Dataset {
 public:
  explicit Labelled(std::vector<int64_t> labels) : labels_(std::move(labels)) {}
  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  DecodedImage read(int64_t) const override { return {}; }
  std::string name(int64_t i) const override { return std::to_string(i); }
  std::optional<int64_t> label(int64_t i) const override { return labels_[static_cast<size_t>(i)]; }

 private:
  std::vector<int64_t> labels_;
};

std::vector<SplitDataset> classes_of(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> labels;
  for (size_t c = 0; c < sizes.size(); ++c)
    labels.insert(labels.end(), static_cast<size_t>(sizes[c]), static_cast<int64_t>(c));
  return {{"train", std::make_shared<Labelled>(labels)}};
}

TEST(PlanSplits, CutsEachClassAndLosesNothing) {
  const auto source = classes_of({40, 20, 10});
  const auto parts =
      plan_splits(source, {.validation_fraction = 0.1, .test_fraction = 0.2, .stratify = true, .seed = 3}, true);
  ASSERT_EQ(parts.size(), 3u);
  std::set<int64_t> seen;
  for (const auto& part : parts)
    for (const auto& ref : part.pictures) EXPECT_TRUE(seen.insert(ref.index).second);
  EXPECT_EQ(seen.size(), 70u);
  const auto count = [&](size_t part, int64_t label) {
    int64_t n = 0;
    for (const auto& ref : parts[part].pictures) n += *source[0].data->label(ref.index) == label;
    return n;
  };
  for (int64_t c = 0; c < 3; ++c) {
    const int64_t n = std::vector<int64_t>{40, 20, 10}[static_cast<size_t>(c)];
    EXPECT_EQ(count(1, c), n / 10) << c;
    EXPECT_EQ(count(2, c), n / 5) << c;
  }
}

TEST(PlanSplits, RoundingOfManySmallClassesAddsUp) {
  const auto parts = plan_splits(classes_of(std::vector<int64_t>(50, 3)), {.test_fraction = 0.1}, true);
  EXPECT_EQ(parts.back().pictures.size(), 15u);  // a tenth of 150, though a tenth of 3 rounds to 0
}

TEST(PlanSplits, TheSeedDecides) {
  const auto source = classes_of({30, 30});
  const auto of_seed = [&](int64_t seed) {
    return plan_splits(source, {.test_fraction = 0.5, .seed = seed}, true)[1].pictures;
  };
  EXPECT_EQ(of_seed(1), of_seed(1));
  EXPECT_NE(of_seed(1), of_seed(2));
}

TEST(PlanSplits, KeepsSplitsThatThereAre) {
  auto source = classes_of({4});
  source.push_back({"test", classes_of({2})[0].data});
  const auto parts = plan_splits(source, {.test_fraction = 0.5}, false);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].pictures.size(), 4u);
  EXPECT_EQ(parts[1].split, "test");
  EXPECT_THROW(plan_splits(source, {}, true), Error);
}

}  // namespace
}  // namespace unnoise
