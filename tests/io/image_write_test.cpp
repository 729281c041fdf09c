#include "unnoise/io/image_write.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "unnoise/core/error.h"
#include "unnoise/io/gif_palette.h"
#include "unnoise/io/image_read.h"

namespace unnoise {
namespace {

using ::testing::HasSubstr;

Image noise(int64_t width, int64_t height, int64_t channels, int levels = 256) {
  Image image = blank_image(width, height, channels);
  std::mt19937 random(static_cast<unsigned>(width * 31 + height * 7 + channels + levels));
  for (auto& sample : image.pixels) sample = static_cast<uint8_t>(random() % static_cast<unsigned>(levels));
  return image;
}

TEST(WritePng, ComesBackWithItsChannels) {
  for (int64_t channels = 1; channels <= 4; ++channels) {
    for (const auto& [width, height] : {std::pair<int64_t, int64_t>{1, 1}, {17, 5}, {3, 40}}) {
      const Image image = noise(width, height, channels);
      const auto back = decode_image(encode_png(image), "png");
      EXPECT_EQ(back, decoded_image(image)) << width << "x" << height << "x" << channels;
    }
  }
}

TEST(WritePng, ReplacesTheFileAndLeavesNothingElse) {
  const fs::path folder = fs::path(testing::TempDir()) / "write_png";
  fs::remove_all(folder);
  fs::create_directories(folder);
  write_png(folder / "a.png", noise(4, 4, 1));
  write_png(folder / "a.png", noise(9, 2, 3));
  EXPECT_EQ(read_image(folder / "a.png").width, 9);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
}

TEST(WritePng, HoldsText) {
  const std::string png = encode_png(noise(2, 2, 1), {{"seed", "7"}, {"prompt", "größer"}});
  EXPECT_THAT(png, HasSubstr(std::string("tEXtseed\0"
                                         "7",
                                         10)));
  EXPECT_THAT(png, HasSubstr(std::string("iTXtprompt\0\0\0\0\0", 15) + "größer"));
}

TEST(WritePng, RejectsKeysThatPngForbids) {
  for (const std::string& key :
       {std::string(), std::string(80, 'k'), std::string(" a"), std::string("a  b"), std::string("ü")})
    EXPECT_THROW(encode_png(noise(2, 2, 1), {{key, "x"}}), Error) << key;
  EXPECT_THROW(encode_png(noise(2, 2, 1), {{"key", std::string("a\0b", 3)}}), Error);
}

TEST(WritePng, RejectsPixelsThatDoNotFit) { EXPECT_THROW(encode_png({4, 4, 3, {1, 2, 3}}), Error); }

TEST(WriteApng, IsAPngOfTheFirstFrameForOthers) {
  const std::vector<Image> frames = {noise(8, 6, 3), noise(8, 6, 3, 9)};
  EXPECT_EQ(decode_image(encode_apng(frames, 40, 40), "apng"), decoded_image(frames[0]));
}

TEST(WriteApng, RejectsMixedFramesAndOddTimes) {
  EXPECT_THROW(encode_apng({}, 40, 40), Error);
  EXPECT_THROW(encode_apng({noise(2, 2, 1), noise(2, 2, 3)}, 40, 40), Error);
  EXPECT_THROW(encode_apng({noise(2, 2, 1)}, 0, 40), Error);
  EXPECT_THROW(encode_apng({noise(2, 2, 1)}, 40, 65536), Error);
}

/// Reads a GIF by the letter of its specification, where players are lenient: the code size grows exactly when it must,
/// every frame ends with the end code, and nothing is left over.
class StrictGif {
 public:
  explicit StrictGif(std::string bytes) : bytes_(std::move(bytes)) {}

  /// The RGB pixels of each frame.
  std::vector<std::vector<uint8_t>> frames() {
    expect("GIF89a");
    at_ += 7;
    std::vector<std::vector<uint8_t>> frames;
    while (byte(at_) == 0x21 || byte(at_) == 0x2C) {
      if (byte(at_++) == 0x2C) {
        frames.push_back(frame());
      } else {
        ++at_;
        blocks();
      }
    }
    EXPECT_EQ(byte(at_), 0x3B);
    EXPECT_EQ(at_ + 1, bytes_.size());
    return frames;
  }

 private:
  unsigned byte(size_t at) const { return static_cast<unsigned char>(bytes_.at(at)); }
  void expect(std::string_view text) {
    EXPECT_EQ(bytes_.substr(at_, text.size()), text);
    at_ += text.size();
  }
  std::string blocks() {
    std::string data;
    while (const unsigned size = byte(at_++)) {
      data += bytes_.substr(at_, size);
      at_ += size;
    }
    return data;
  }
  std::vector<uint8_t> frame() {
    const size_t colours = size_t{2} << (byte(at_ + 8) & 7U);
    const size_t palette = at_ + 9;
    at_ = palette + 3 * colours;
    const unsigned symbol_bits = byte(at_++);
    std::vector<uint8_t> rgb;
    for (const unsigned index : unpacked(blocks(), symbol_bits))
      for (size_t c = 0; c < 3; ++c) rgb.push_back(static_cast<uint8_t>(byte(palette + 3 * index + c)));
    return rgb;
  }
  static std::vector<unsigned> unpacked(const std::string& data, unsigned symbol_bits) {
    const unsigned clear = 1U << symbol_bits, end = clear + 1;
    std::vector<std::vector<unsigned>> table;
    std::vector<unsigned> out, last;
    unsigned bits = symbol_bits + 1;
    size_t position = 0;
    const auto next_code = [&]() -> unsigned {
      unsigned code = 0;
      for (unsigned i = 0; i < bits; ++i, ++position)
        code |= ((static_cast<unsigned char>(data.at(position / 8)) >> (position % 8)) & 1U) << i;
      return code;
    };
    for (unsigned code = next_code(); code != end; code = next_code()) {
      if (code == clear) {
        table.assign(clear + 2, {});
        for (unsigned i = 0; i < clear; ++i) table[i] = {i};
        bits = symbol_bits + 1;
        last.clear();
        continue;
      }
      auto entry = last;
      if (!last.empty()) entry.push_back(code < table.size() ? table[code][0] : last[0]);
      if (!last.empty()) table.push_back(entry);
      last = table.at(code);
      out.insert(out.end(), last.begin(), last.end());
      if (table.size() == (1U << bits) && bits < 12) ++bits;
    }
    EXPECT_EQ((position + 7) / 8, data.size());
    return out;
  }

  std::string bytes_;
  size_t at_ = 0;
};

TEST(WriteGif, FollowsTheLetterOfTheFormat) {
  for (const int levels : {1, 2, 3, 6, 16, 100, 256}) {
    for (const auto& [width, height] : {std::pair<int64_t, int64_t>{1, 1}, {2, 2}, {31, 17}, {120, 90}, {64, 64}}) {
      const Image grey = noise(width, height, 1, levels);
      std::vector<uint8_t> rgb;
      for (const uint8_t value : grey.pixels) rgb.insert(rgb.end(), 3, value);
      const auto frames = StrictGif(encode_gif({grey, {width, height, 3, rgb}}, 50, 500)).frames();
      ASSERT_EQ(frames.size(), 2U);
      EXPECT_EQ(frames[0], rgb) << levels << " levels, " << width << "x" << height;
      EXPECT_EQ(frames[1], rgb);
    }
  }
}

TEST(WriteGif, EndsAtEveryLengthOfData) {
  for (int64_t width = 1; width < 700; width += 1) {
    const Image line = noise(width, 1, 1, 4);
    const auto frames = StrictGif(encode_gif({line}, 50, 50)).frames();
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].size(), line.pixels.size() * 3);
  }
}

TEST(WriteGif, RejectsWhatItCannotHold) {
  EXPECT_THROW(encode_gif({}, 50, 50), Error);
  EXPECT_THROW(encode_gif({noise(2, 2, 4)}, 50, 50), Error);
  EXPECT_THROW(encode_gif({noise(2, 2, 1), noise(3, 2, 1)}, 50, 50), Error);
  EXPECT_THROW(encode_gif({noise(2, 2, 1)}, -1, 50), Error);
}

TEST(GifPalette, NeverHasMoreThan256Colours) {
  for (const int levels : {2, 7, 20, 256}) {
    const Indexed picture = indexed(noise(90, 70, 3, levels));
    EXPECT_LE(picture.palette.size(), 256U);
    EXPECT_EQ(picture.indices.size(), 90U * 70U);
    for (const uint8_t index : picture.indices) ASSERT_LT(index, picture.palette.size());
  }
}

TEST(GifPalette, KeepsTheMeanColourByDithering) {
  Image ramp = blank_image(256, 64, 3);
  for (int64_t y = 0; y < ramp.height; ++y)
    for (int64_t x = 0; x < ramp.width; ++x) {
      uint8_t* rgb = ramp.row(y) + 3 * x;
      rgb[0] = static_cast<uint8_t>(x);
      rgb[1] = static_cast<uint8_t>(4 * y);
      rgb[2] = static_cast<uint8_t>((x + y) / 2);
    }
  const Indexed picture = indexed(ramp);
  double ours = 0;
  for (const uint8_t index : picture.indices) ours += picture.palette[index][0];
  // errors are handed on, so that only those of the borders are lost
  EXPECT_NEAR(ours / static_cast<double>(picture.indices.size()), 127.5, 0.5);
}

}  // namespace
}  // namespace unnoise
