// The matrix units' instructions in software, put before conv_amx.cpp when its tests are built a second time
// (tests/CMakeLists.txt), so that processors without the units test what the code does with them. Intel's manual,
// volume 2: TILELOADD, TILESTORED, TDPBF16PS; of the last the rounding of each of a pair's products is left out.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#include <bit>
#include <cstdint>
#include <cstring>

#define UNNOISE_SOFTWARE_TILES 1

namespace unnoise::kernels::software_tiles {

struct Tile {
  uint32_t rows[16][16];
};
inline thread_local Tile tiles[8];
inline thread_local unsigned char config[64];

inline void load(int tile, const void* base, int64_t stride) {
  for (int r = 0; r < 16; ++r) std::memcpy(tiles[tile].rows[r], static_cast<const char*>(base) + r * stride, 64);
}
inline void store(int tile, void* base, int64_t stride) {
  for (int r = 0; r < 16; ++r) std::memcpy(static_cast<char*>(base) + r * stride, tiles[tile].rows[r], 64);
}
inline void zero(int tile) { tiles[tile] = {}; }

/// sums[m][n] += the products of two pairs, a[m][k] and b[k][n], over k.
inline void multiply(int sums, int a, int b) {
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 16; ++n) {
      float sum = std::bit_cast<float>(tiles[sums].rows[m][n]);
      for (int k = 0; k < 16; ++k) {
        const uint32_t x = tiles[a].rows[m][k], y = tiles[b].rows[k][n];
        sum += std::bit_cast<float>(x << 16) * std::bit_cast<float>(y << 16);
        sum += std::bit_cast<float>(x & 0xffff0000U) * std::bit_cast<float>(y & 0xffff0000U);
      }
      tiles[sums].rows[m][n] = std::bit_cast<uint32_t>(sum);
    }
}

}  // namespace unnoise::kernels::software_tiles

#undef _tile_loadconfig
#undef _tile_storeconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#define _tile_loadconfig(from) std::memcpy(software_tiles::config, from, 64)
#define _tile_storeconfig(to) std::memcpy(to, software_tiles::config, 64)
#define _tile_release() std::memset(software_tiles::config, 0, 64)
#define _tile_loadd(tile, base, stride) software_tiles::load(tile, base, stride)
#define _tile_stored(tile, base, stride) software_tiles::store(tile, base, stride)
#define _tile_zero(tile) software_tiles::zero(tile)
#define _tile_dpbf16ps(sums, a, b) software_tiles::multiply(sums, a, b)
#endif
