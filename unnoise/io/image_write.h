// Pictures to files: PNG, animated GIF, animated PNG. All are written atomically (core/files.h).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/io/image.h"

namespace unnoise {

/// Keys and values in a PNG: how a picture was made. Keys have 1 to 79 Latin-1 bytes, values are UTF-8.
using PngText = std::vector<std::pair<std::string, std::string>>;

/// The bytes of a PNG file of 8 bits a sample. One channel stays grey (Pillow's mode "L"), two grey + alpha, three RGB, four
/// RGBA. ASCII values are tEXt chunks, others iTXt. Throws Error::usage on a malformed picture or key.
std::string encode_png(const Image& image, const PngText& text = {});
void write_png(const fs::path& path, const Image& image, const PngText& text = {});

/// An animation that loops for ever; every frame lasts `frame_ms`, the last `last_frame_ms`. Frames share one size and have 1
/// or 3 channels (mixtures are allowed). GIF counts in 1/100 s, so times are rounded to 10 ms, at least 20 ms (browsers slow
/// shorter ones down). Grey frames keep their exact values; colour frames share one palette of 255 colours, dithered.
std::string encode_gif(const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms);
void write_gif(const fs::path& path, const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms);

/// The same as animated PNG: exact colours, larger files. Frames share size and channels (1 to 4); programs that know only
/// PNG show the first. Times are in ms, at most 65535.
std::string encode_apng(const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms);
void write_apng(const fs::path& path, const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms);

}  // namespace unnoise
