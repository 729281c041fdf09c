#include "unnoise/data/parquet_dataset.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/data/temporary_folder.h"
#include "unnoise/containers/parquet.h"
#include "unnoise/data/block_cache.h"

namespace unnoise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string small_png(int seed) {
  Image image = blank_image(3, 2, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(seed + 11 * i);
  return encode_png(image);
}

TEST(ParquetDataset, GivesBackWhatWasWrittenAcrossFilesAndRowGroups) {
  TemporaryFolder folder;
  const PictureTable table{true, {{"text", ParquetType::text}, {"n", ParquetType::integer}}, ""};
  for (int file = 0; file < 2; ++file) {
    const auto writer = create_parquet(folder / (std::to_string(file) + ".parquet"), table);
    for (int i = 0; i < 250; ++i) {
      const std::string bytes = small_png(file + i);
      writer->append({bytes, "p.png", i % 3, {i == 7 ? Json(nullptr) : Json("é" + std::to_string(i)), i}});
    }
    writer->close();
  }
  EXPECT_THAT(open_parquet(folder / "0.parquet")->group_rows(), ElementsAre(100, 100, 50));
  const auto data = open_parquet_files({folder / "0.parquet", folder / "1.parquet"});
  EXPECT_EQ(data->size(), 500);
  for (const int64_t i : {0, 499, 7, 100, 250, 251}) {
    EXPECT_EQ(data->file(i)->bytes, small_png(static_cast<int>(i / 250 + i % 250)));
    EXPECT_EQ(data->label(i), i % 250 % 3);
    EXPECT_EQ(data->columns(i).at("n"), i % 250);
    EXPECT_EQ(data->read(i).pixels[0], (i / 250 + i % 250) % 256);
  }
  EXPECT_EQ(data->text(7), std::nullopt);
  EXPECT_EQ(data->text(8), "é8");
  EXPECT_EQ(data->name(251), "1.parquet[1]");
  EXPECT_THAT(error_of([&] { data->read(500); }), HasSubstr("no picture 500"));
}

TEST(ParquetDataset, AFileThatWasNotClosedIsNoParquet) {
  TemporaryFolder folder;
  { create_parquet(folder / "open.parquet", {})->append({"x", "p.png", 0, {}}); }
  EXPECT_THAT(error_of([&] { open_parquet_files({folder / "open.parquet"}); }), HasSubstr("open.parquet"));
}

PictureBlock block_of(const char* path) {
  PictureBlock block;
  block.paths = {path};
  return block;
}

TEST(BlockCache, KeepsTheLastUsedWithinTheBudget) {
  BlockCache cache(25);
  int loads = 0;
  const auto get = [&](size_t group) { return cache.get({0, group}, 10, [&] { return ++loads, block_of("x"); }); };
  get(0);
  get(1);
  get(0);
  EXPECT_EQ(loads, 2);
  get(2);  // drops 1, which was used longest ago
  get(0);
  EXPECT_EQ(loads, 3);
  get(1);
  EXPECT_EQ(loads, 4);
  const auto held = cache.get({1, 0}, 100, [&] { return block_of("large"); });  // above the budget: alone, and usable
  EXPECT_EQ(held->paths[0], "large");
  get(1);
  EXPECT_EQ(loads, 5);
}

TEST(BlockCache, LoadsOnceForManyThreadsAndPassesErrorsOn) {
  BlockCache cache(1000);
  std::atomic<int> loads = 0, failures = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&] {
        cache.get({0, 0}, 1, [&] {
          ++loads;
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return block_of("x");
        });
        try {
          cache.get({0, 1}, 1, []() -> PictureBlock { throw data_error("damaged"); });
        } catch (const Error&) {
          ++failures;
        }
      });
  }
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(failures, 8);
}

}  // namespace
}  // namespace unnoise
