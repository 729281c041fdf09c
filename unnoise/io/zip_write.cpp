#include "unnoise/io/zip_write.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

// Sizes and places from here on stand in the zip64 field instead.
constexpr uint64_t kMost32 = 0xffffffff;
constexpr uint64_t kMost16 = 0xffff;
constexpr uint16_t kUtf8Names = 0x0800, kVersion20 = 20, kVersion45 = 45, kWrittenZip64Field = 1;
constexpr uint16_t kMadeByUnix = 3 << 8;
constexpr uint32_t kRegularFile0644 = 0100644u << 16;
constexpr uint32_t kNewYear1980 = (1 << 5 | 1) << 16;  // MS-DOS date and time

struct Written {
  std::string name;
  uint64_t size = 0, offset = 0;
  uint32_t crc = 0;
};

std::string little(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

std::string little32(uint64_t value) { return little(std::min(value, kMost32), 4); }

/// The field that holds what does not fit into 32 bits: of a local header both sizes, of the directory what overflows.
std::string zip64_field(const std::vector<uint64_t>& values) {
  if (values.empty()) return "";
  std::string field = little(kWrittenZip64Field, 2) + little(8 * values.size(), 2);
  for (const uint64_t value : values) field += little(value, 8);
  return field;
}

std::string local_header(const Written& file) {
  const bool large = file.size >= kMost32;
  const std::string extra = zip64_field(large ? std::vector{file.size, file.size} : std::vector<uint64_t>{});
  return "PK\3\4" + little(large ? kVersion45 : kVersion20, 2) + little(kUtf8Names, 2) + little(0, 2) +
         little(kNewYear1980, 4) + little(file.crc, 4) + little32(file.size) + little32(file.size) +
         little(file.name.size(), 2) + little(extra.size(), 2) + file.name + extra;
}

std::string directory_entry(const Written& file) {
  std::vector<uint64_t> overflow;
  if (file.size >= kMost32) overflow = {file.size, file.size};
  if (file.offset >= kMost32) overflow.push_back(file.offset);
  const std::string extra = zip64_field(overflow);
  const uint16_t version = overflow.empty() ? kVersion20 : kVersion45;
  return "PK\1\2" + little(kMadeByUnix | version, 2) + little(version, 2) + little(kUtf8Names, 2) + little(0, 2) +
         little(kNewYear1980, 4) + little(file.crc, 4) + little32(file.size) + little32(file.size) +
         little(file.name.size(), 2) + little(extra.size(), 2) + little(0, 2) + little(0, 2) + little(0, 2) +
         little(kRegularFile0644, 4) + little32(file.offset) + file.name + extra;
}

std::string directory_end(uint64_t entries, uint64_t size, uint64_t offset) {
  std::string end;
  if (entries >= kMost16 || size >= kMost32 || offset >= kMost32)
    end = "PK\6\6" + little(44, 8) + little(kMadeByUnix | kVersion45, 2) + little(kVersion45, 2) + little(0, 8) +
          little(entries, 8) + little(entries, 8) + little(size, 8) + little(offset, 8) +  //
          "PK\6\7" + little(0, 4) + little(offset + size, 8) + little(1, 4);
  return end + "PK\5\6" + little(0, 4) + little(std::min(entries, kMost16), 2) + little(std::min(entries, kMost16), 2) +
         little32(size) + little32(offset) + little(0, 2);
}

/// Calls `take(piece)` for the whole file.
template <class Take>
void read_in_pieces(const fs::path& path, Take&& take) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw data_error(fmt::format("cannot read \"{}\": {}", path.string(), std::strerror(errno)));
  std::vector<char> piece(1 << 20);
  while (in) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    take(std::string_view(piece.data(), static_cast<size_t>(in.gcount())));
  }
  if (in.bad()) throw data_error(fmt::format("reading \"{}\" failed", path.string()));
}

}  // namespace

void write_zip(const fs::path& path, const std::vector<ZipSource>& files) {
  AtomicFile zip(path);
  uint64_t offset = 0;
  const auto append = [&](std::string_view bytes) {
    zip.write(bytes);
    offset += bytes.size();
  };
  std::vector<Written> written;
  for (const auto& source : files) {
    Written file{source.name, 0, offset, static_cast<uint32_t>(::crc32(0, nullptr, 0))};
    read_in_pieces(source.path, [&](std::string_view piece) {  // once for the header, which comes first
      file.size += piece.size();
      file.crc = static_cast<uint32_t>(
          ::crc32_z(file.crc, reinterpret_cast<const unsigned char*>(piece.data()), piece.size()));
    });
    append(local_header(file));
    const uint64_t begin = offset;
    read_in_pieces(source.path, append);
    if (offset - begin != file.size)
      throw data_error(fmt::format("\"{}\" changed while it was packed", source.path.string()));
    written.push_back(std::move(file));
  }
  const uint64_t directory = offset;
  for (const auto& file : written) append(directory_entry(file));
  append(directory_end(written.size(), offset - directory, directory));
  zip.commit();
}

}  // namespace unnoise
