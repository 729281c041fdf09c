// The first picture of a TIFF file as it is stored: strips and tiles, planes and compressions put together by libtiff.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace unnoise {

/// What a TIFF says of its samples, in the numbers of TIFF 6.0 (Adobe 1992), and the samples.
struct TiffPicture {
  int64_t width = 0;
  int64_t height = 0;
  int orientation = 1;           ///< as in EXIF
  int photometric = 0;           ///< 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK
  int bits = 1;                  ///< a sample: 1, 2, 4, 8, 12 or 16
  int sample_format = 1;         ///< 1 unsigned, 2 signed, 3 floating point
  int samples = 1;               ///< a pixel, those below among them
  std::vector<int> extra;        ///< what each sample above the colours is: 0 unknown, 1 premultiplied alpha, 2 alpha
  std::vector<uint8_t> rows;     ///< interleaved, each row padded to whole bytes; 16 bits in the machine's order
  std::vector<uint8_t> palette;  ///< RGB triples, the upper bytes of what is stored
};

/// YCbCr comes as RGB. `check_size(width, height)` is called before anything of that size is set aside, and throws what
/// is to be thrown. Error::data, naming `where`, when the file is damaged, cut short or of a kind that is not named
/// above.
TiffPicture read_tiff(std::string_view bytes, std::string_view where,
                      const std::function<void(int64_t width, int64_t height)>& check_size);

/// Between the program and its module.
struct TiffModule {
  TiffPicture (*read)(std::string_view, std::string_view, const std::function<void(int64_t, int64_t)>&);
};

}  // namespace unnoise
