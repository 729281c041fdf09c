// Pictures to files: PNG, animated GIF, animated PNG. All are written atomically (core/files.h).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/io/image.h"

namespace unnoise {

/// Keys and values in a PNG: how a picture was made. A key has 1 to 79 printable ASCII characters, without spaces at
/// its ends or two in a row; a value is UTF-8 without NUL.
using PngText = std::vector<std::pair<std::string, std::string>>;

/// The bytes of a PNG file of 8 bits a sample. One channel stays grey (Pillow's mode "L"), two are grey + alpha, three
/// RGB, four RGBA. ASCII values become tEXt chunks, others iTXt. Throws Error::usage on a malformed picture, key or
/// value.
std::string encode_png(const Image& image, const PngText& text = {});
void write_png(const fs::path& path, const Image& image, const PngText& text = {});

/// An animation that loops for ever; every frame lasts `frame_ms`, the last `last_frame_ms`. Frames share one size and
/// have 1 or 3 channels (mixtures are allowed). GIF counts in 1/100 s: times are rounded to that, and to at least 0.02
/// s, below which browsers slow down. Grey frames keep their exact values, and so do frames of at most 256 colours;
/// others get a palette each and are dithered.
std::string encode_gif(const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms);
void write_gif(const fs::path& path, const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms);

/// The same as animated PNG: exact colours, larger files. Frames share size and channels (1 to 4); programs that know
/// only PNG show the first. Times are in ms, 1 to 65535.
std::string encode_apng(const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms);
void write_apng(const fs::path& path, const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms);

}  // namespace unnoise
