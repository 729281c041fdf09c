#include "unnoise/data/loader.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "tests/data/temporary_folder.h"
#include "unnoise/data/image_set.h"

namespace unnoise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Picture i is 12 x 8 and all of value i (mod 256) but for its first column, which is 255; pictures in `damaged`
/// throw.
class FakeDataset final : public Dataset {
 public:
  explicit FakeDataset(int64_t n, std::set<int64_t> damaged = {}, bool labelled = true)
      : n_(n), damaged_(std::move(damaged)), labelled_(labelled) {}
  int64_t size() const override { return n_; }
  std::string name(int64_t i) const override { return "picture " + std::to_string(i); }
  std::optional<int64_t> label(int64_t i) const override { return labelled_ ? std::optional(i) : std::nullopt; }
  DecodedImage read(int64_t i) const override {
    if (damaged_.contains(i)) throw data_error(name(i) + " is cut short");
    if (slow_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(slow_));
    ++reads_;
    Image image = blank_image(12, 8, 3);
    for (int64_t p = 0; p < 12 * 8 * 3; ++p) image.pixels[p] = static_cast<uint8_t>(p % 36 < 3 ? 255 : i);
    return decoded_image(std::move(image));
  }
  int64_t reads() const { return reads_; }
  void set_slow(int ms) { slow_ = ms; }

 private:
  int64_t n_;
  std::set<int64_t> damaged_;
  bool labelled_;
  int slow_ = 0;
  mutable std::atomic<int64_t> reads_ = 0;
};

LoaderOptions small(int64_t batch_size = 4) {
  LoaderOptions options;
  options.resolution = 8;
  options.batch_size = batch_size;
  options.random_flip = true;
  options.seed = 3;
  return options;
}

std::vector<int64_t> list(const Tensor& x) {
  return {x.const_data_ptr<int64_t>(), x.const_data_ptr<int64_t>() + x.numel()};
}

std::vector<int64_t> labels_of_epoch(Loader& loader) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < loader.batches_per_epoch(); ++i)
    for (const int64_t label : list(loader.next().labels)) labels.push_back(label);
  return labels;
}

void expect_same(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.number, b.number);
  EXPECT_TRUE(at::equal(a.images, b.images)) << "batch " << a.number;
  EXPECT_TRUE(at::equal(a.labels, b.labels)) << "batch " << a.number;
}

/// What the loaders of several processes read of a batch, in the order of their ranks.
class SharesOf : public ::testing::TestWithParam<int64_t> {};

TEST_P(SharesOf, ABatchAreThatBatch) {
  const auto data = std::make_shared<FakeDataset>(10);
  Loader whole(data, small());
  std::vector<Loader> parts;
  for (int64_t share = 0; share < GetParam(); ++share) {
    LoaderOptions options = small();
    options.share = share;
    options.shares = GetParam();
    parts.emplace_back(data, options);
  }
  for (int64_t number = 0; number < 6; ++number) {  // 4, 4 and 2 pictures; twice
    const Batch expected = whole.next();
    std::vector<Tensor> images, labels;
    for (Loader& part : parts) {
      const Batch batch = part.next();
      EXPECT_EQ(batch.number, number);
      images.push_back(batch.images);
      labels.push_back(batch.labels);
    }
    expect_same({at::cat(images), at::cat(labels), number}, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Processes, SharesOf, ::testing::Values(1, 2, 3, 5));  // with 5 some have no picture

TEST(Loader, GivesEveryPictureOncePerEpochAndTheShortRestLast) {
  Loader loader(std::make_shared<FakeDataset>(10), small());
  EXPECT_EQ(loader.batches_per_epoch(), 3);
  std::vector<int64_t> seen;
  for (int64_t number = 0; number < 3; ++number) {
    const auto batch = loader.next();
    EXPECT_EQ(batch.number, number);
    EXPECT_EQ(batch.images.sizes(), (std::vector<int64_t>{number < 2 ? 4 : 2, 3, 8, 8}));
    for (const int64_t label : list(batch.labels)) seen.push_back(label);
  }
  EXPECT_THAT(std::set(seen.begin(), seen.end()), SizeIs(10));
  EXPECT_NE(labels_of_epoch(loader), seen);  // another epoch, another order
}

TEST(Loader, FollowsTheDocumentedOrder) {
  Loader loader(std::make_shared<FakeDataset>(10), small());
  EXPECT_EQ(labels_of_epoch(loader), list(Rng(mix(3, 0)).permutation(10)));
  EXPECT_EQ(labels_of_epoch(loader), list(Rng(mix(3, 1)).permutation(10)));
  auto options = small();
  options.shuffle = false;
  EXPECT_THAT(labels_of_epoch(*std::make_unique<Loader>(std::make_shared<FakeDataset>(5), options)),
              ElementsAre(0, 1, 2, 3, 4));
}

TEST(Loader, GivesTheSameBatchesForAnyNumberOfWorkers) {
  const auto data = std::make_shared<FakeDataset>(37);
  auto one = small(5), four = small(5), uncached = small(5);
  one.num_workers = 1;
  four.num_workers = 4;
  uncached.num_workers = 3;
  uncached.cache_bytes = 0;
  Loader a(data, one), b(data, four), c(data, uncached);
  for (int i = 0; i < 30; ++i) {
    const auto batch = a.next();
    expect_same(batch, b.next());
    expect_same(batch, c.next());
  }
}

TEST(Loader, SeeksToAnyBatchExactly) {
  const auto data = std::make_shared<FakeDataset>(23);
  Loader whole(data, small()), jumping(data, small());
  std::vector<Batch> batches;
  for (int i = 0; i < 20; ++i) batches.push_back(whole.next());
  for (const int64_t number : {17, 3, 4, 0, 12, 6}) {
    jumping.seek(number);
    expect_same(jumping.next(), batches[number]);
    expect_same(jumping.next(), batches[number + 1]);
  }
  EXPECT_THAT(error_of([&] { jumping.seek(-1); }), HasSubstr("batch number"));
}

TEST(Loader, DecodesOnceWhatFitsTheCache) {
  const auto data = std::make_shared<FakeDataset>(12);
  auto options = small();
  options.num_workers = 1;
  Loader cached(data, options);
  for (int i = 0; i < 12; ++i) cached.next();
  EXPECT_EQ(data->reads(), 12);

  const auto again = std::make_shared<FakeDataset>(12);
  options.cache_bytes = 5 * 12 * 8 * 3;  // room for five pictures
  const auto store = std::make_shared<PictureStore>(again, options.transform(), options.cache_bytes, false);
  Loader partly(store, options);
  for (int i = 0; i < 12; ++i) partly.next();
  EXPECT_EQ(store->cached_bytes(), options.cache_bytes);
  EXPECT_GE(again->reads(), 12 + 3 * 7);  // and what was prepared ahead
}

TEST(Loader, DrawsOtherCropsInEveryEpoch) {
  auto options = small(1);
  Loader loader(std::make_shared<FakeDataset>(1), options);
  std::set<std::pair<bool, bool>> looks;  // is the bright first column at the left, at the right
  std::vector<Tensor> images;
  for (int i = 0; i < 60; ++i) {
    const auto x = loader.next().images;
    looks.emplace(x[0][0][0][0].item<float>() == 1.0f, x[0][0][0][7].item<float>() == 1.0f);
  }
  EXPECT_THAT(looks, SizeIs(3));  // cropped away, left, and mirrored to the right
}

TEST(Loader, LeavesLabelsOutWhenThereAreNone) {
  Loader loader(std::make_shared<FakeDataset>(4, std::set<int64_t>{}, false), small());
  EXPECT_FALSE(loader.next().labels.defined());
}

TEST(Loader, PutsTheNextPictureInPlaceOfADamagedOne) {
  auto options = small();
  options.shuffle = false;
  Listener heard;
  Loader loader(std::make_shared<FakeDataset>(6, std::set<int64_t>{2, 3, 5}), options, heard.observer());
  EXPECT_THAT(labels_of_epoch(loader), ElementsAre(0, 1, 4, 4, 4, 0));
  EXPECT_THAT(labels_of_epoch(loader), ElementsAre(0, 1, 4, 4, 4, 0));
  EXPECT_THAT(heard.warnings, SizeIs(3));  // each once
  EXPECT_THAT(heard.warnings[0], HasSubstr("is damaged"));
}

TEST(Loader, DamagedPicturesDoNotShiftTheOrder) {
  Loader whole(std::make_shared<FakeDataset>(20), small());
  Loader damaged(std::make_shared<FakeDataset>(20, std::set<int64_t>{7}), small());
  for (int epoch = 0; epoch < 3; ++epoch) {
    auto expected = labels_of_epoch(whole);
    std::replace(expected.begin(), expected.end(), int64_t{7}, int64_t{8});
    EXPECT_EQ(labels_of_epoch(damaged), expected);
  }
}

TEST(Loader, ThrowsWorkersErrorsFromNextEveryTime) {
  auto options = small();
  options.strict = true;
  options.shuffle = false;
  Loader strict(std::make_shared<FakeDataset>(9, std::set<int64_t>{5}), options);
  EXPECT_EQ(strict.next().number, 0);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(error_of([&] { strict.next(); }), HasSubstr("picture 5 is cut short"));
  strict.seek(2);
  EXPECT_EQ(strict.next().number, 2);

  Loader hopeless(std::make_shared<FakeDataset>(3, std::set<int64_t>{0, 1, 2}), small());
  EXPECT_THAT(error_of([&] { hopeless.next(); }), HasSubstr("none of the 3 pictures can be decoded"));
}

TEST(Loader, EndsCleanlyWhileWorkersAreBusy) {
  const auto data = std::make_shared<FakeDataset>(64);
  data->set_slow(1);
  for (int i = 0; i < 20; ++i) {
    auto options = small();
    options.num_workers = 1 + i % 4;
    Loader loader(data, options);
    if (i % 2) loader.next();
    if (i % 3 == 0) loader.seek(40);
  }
}

TEST(Loader, CountsOnlyTheTimeThatNextBlocks) {
  const auto data = std::make_shared<FakeDataset>(64);
  data->set_slow(5);
  auto options = small();
  options.num_workers = 1;
  Loader loader(data, options);
  loader.next();
  const double first = loader.seconds_waited();
  EXPECT_GE(first, 0.010);  // four pictures of 5 ms, less what ran before next() was called
  for (int i = 0; i < 8; ++i) {
    std::this_thread::sleep_for(
        std::chrono::milliseconds(100));  // a step takes longer than the 20 ms that its pictures need
    loader.next();
  }
  EXPECT_LT(loader.seconds_waited() - first, 0.160);  // what it would be if nothing were decoded ahead
}

TEST(Loader, RefusesSenselessOptions) {
  const auto data = std::make_shared<FakeDataset>(4);
  const auto with = [&](auto change) {
    auto options = small();
    change(options);
    return error_of([&] { Loader(data, options); });
  };
  EXPECT_THAT(with([](auto& o) { o.batch_size = 0; }), HasSubstr("batch size"));
  EXPECT_THAT(with([](auto& o) { o.num_workers = -1; }), HasSubstr("num_workers"));
  EXPECT_THAT(with([](auto& o) { o.resolution = 0; }), HasSubstr("resolution"));
  EXPECT_THAT(error_of([&] { Loader(std::make_shared<FakeDataset>(0), small()); }), HasSubstr("empty"));
}

TEST(Loader, ReplacesAFileThatIsCutWithinItsPixels) {
  TemporaryFolder folder;
  folder.picture("a.png", 1, 9, 9);
  folder.cut_picture("b.png");
  folder.picture("c.png", 2, 9, 9);
  Listener heard;
  const auto data = open_dataset({.path_or_name = folder.path().string()}, heard.observer());
  EXPECT_EQ(data->size(), 3);
  auto options = small(3);
  options.shuffle = false;
  options.random_flip = false;
  options.center_crop = true;
  Loader loader(data, options, heard.observer());
  const auto images = loader.next().images;
  EXPECT_TRUE(at::equal(images[1], images[2]));
  EXPECT_FALSE(at::equal(images[0], images[2]));
  EXPECT_THAT(heard.warnings, ElementsAre(HasSubstr("b.png")));
}

TEST(ImageSet, IteratesOneEpochInAnOrderFromTheRng) {
  TemporaryFolder folder;
  for (int i = 0; i < 10; ++i)
    folder.picture(std::string(i < 5 ? "a" : "b") + "/" + std::to_string(i) + ".png", i, 16, 16);
  const ImageSet data({.path = folder.path().string(), .resolution = 8});
  EXPECT_EQ(data.size(), 10);
  const auto epoch = [&](Rng& rng) {
    std::vector<Tensor> batches;
    int64_t pictures = 0, second_class = 0;
    for (const auto& [images, labels] : data.batches(4, rng)) {
      EXPECT_EQ(images.size(0), labels.size(0));
      pictures += images.size(0);
      second_class += labels.sum().item<int64_t>();
      batches.push_back(images);
    }
    EXPECT_EQ(pictures, 10);
    EXPECT_EQ(second_class, 5);
    return batches;
  };
  Rng one(5), same(5);
  const auto first = epoch(one), first_again = epoch(same), second = epoch(one);
  ASSERT_THAT(first, SizeIs(3));
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(first[i], first_again[i]));
  EXPECT_FALSE(at::equal(first[0], second[0]));
}

}  // namespace
}  // namespace unnoise
