#include "unnoise/io/zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cstring>
#include <limits>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/io/mapped_file.h"

namespace unnoise {
namespace {

// PKWARE, .ZIP File Format Specification 6.3.10: the records' signatures and fixed sizes.
constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr uint32_t kIn64 = 0xffffffff;  // "the value is in the zip64 field"
constexpr uint16_t kZip64Field = 1;

/// Reads little-endian numbers at checked positions.
class Reader {
 public:
  Reader(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  template <class T>
  T number(uint64_t at) const {
    T value;
    std::memcpy(&value, slice(at, sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view slice(uint64_t at, uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) throw damaged("a record points beyond the file's end");
    return bytes_.substr(at, size);
  }
  Error damaged(std::string_view what) const {
    return data_error(fmt::format("{}: damaged zip container: {}", where_, what), "Download or copy the file again.");
  }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
  std::string_view where_;
};

struct Directory {
  uint64_t at = 0;
  uint64_t count = 0;
};

/// Finds the end record, which a comment may follow, and the zip64 record before it.
Directory find_directory(const Reader& in) {
  if (in.size() < kEndSize) throw in.damaged("it has no end record");
  const uint64_t last = in.size() - kEndSize, longest_comment = 0xffff;
  for (uint64_t at = last + 1; at-- > (last > longest_comment ? last - longest_comment : 0);) {
    if (in.number<uint32_t>(at) != kEnd || at + kEndSize + in.number<uint16_t>(at + 20) != in.size()) continue;
    if (at < kLocatorSize || in.number<uint32_t>(at - kLocatorSize) != kEnd64Locator)
      return {in.number<uint32_t>(at + 16), in.number<uint16_t>(at + 10)};
    const auto at64 = in.number<uint64_t>(at - kLocatorSize + 8);
    in.slice(at64, kEnd64Size);
    if (in.number<uint32_t>(at64) != kEnd64) throw in.damaged("the zip64 end record is not where it should be");
    return {in.number<uint64_t>(at64 + 48), in.number<uint64_t>(at64 + 32)};
  }
  throw in.damaged("it has no end record; it may be cut short");
}

/// The sizes and the position that do not fit 32 bits, from the extra field.
void read_zip64(const Reader& in, std::string_view extra, uint64_t& size, uint64_t& packed_size, uint64_t& header_at) {
  const Reader fields(extra, "zip64");
  for (uint64_t at = 0; at + 4 <= extra.size();) {
    const auto id = fields.number<uint16_t>(at), length = fields.number<uint16_t>(at + 2);
    if (length > extra.size() - at - 4) throw in.damaged("an extra field is longer than its record");
    if (id == kZip64Field) {
      uint64_t next = at + 4;
      for (uint64_t* value : {&size, &packed_size, &header_at}) {
        if (*value != kIn64) continue;
        if (next + 8 > at + 4 + length) throw in.damaged("the zip64 field is too short");
        *value = fields.number<uint64_t>(next);
        next += 8;
      }
      return;
    }
    at += 4 + length;
  }
}

}  // namespace

bool is_zip(std::string_view bytes) { return bytes.starts_with("PK\x03\x04"); }

std::vector<ZipEntry> read_zip(std::string_view bytes, std::string_view where) {
  const Reader in(bytes, where);
  auto [at, count] = find_directory(in);
  if (count > in.size() / kCentralSize) throw in.damaged("it claims more entries than fit into it");
  std::vector<ZipEntry> entries;
  std::set<std::string_view> names;
  for (; count > 0; --count) {
    if (in.number<uint32_t>(at) != kCentralHeader) throw in.damaged("the central directory is not where it should be");
    const auto flags = in.number<uint16_t>(at + 8), method = in.number<uint16_t>(at + 10);
    uint64_t packed_size = in.number<uint32_t>(at + 20), size = in.number<uint32_t>(at + 24);
    const auto name_size = in.number<uint16_t>(at + 28), extra_size = in.number<uint16_t>(at + 30);
    const auto comment_size = in.number<uint16_t>(at + 32);
    uint64_t header_at = in.number<uint32_t>(at + 42);
    const auto name = in.slice(at + kCentralSize, name_size);
    read_zip64(in, in.slice(at + kCentralSize + name_size, extra_size), size, packed_size, header_at);
    at += kCentralSize + name_size + extra_size + comment_size;

    if (flags & 1) throw data_error(fmt::format("{}: entry \"{}\" is encrypted", where, name));
    if (method != 0 && method != Z_DEFLATED)
      throw data_error(fmt::format("{}: entry \"{}\" uses compression {}; known are stored (0) and deflated (8)", where,
                                   name, method));
    if (!names.insert(name).second) throw in.damaged(fmt::format("two entries are named \"{}\"", name));
    in.slice(header_at, kLocalSize);
    if (in.number<uint32_t>(header_at) != kLocalHeader)
      throw in.damaged(fmt::format("entry \"{}\" is not where the directory says", name));
    const uint64_t data_at =
        header_at + kLocalSize + in.number<uint16_t>(header_at + 26) + in.number<uint16_t>(header_at + 28);
    const auto packed = in.slice(data_at, packed_size);
    if (method == 0 && packed_size != size) throw in.damaged(fmt::format("entry \"{}\" has two different sizes", name));
    entries.push_back({std::string(name), size, packed, method == Z_DEFLATED});
  }
  return entries;
}

std::string unpack(const ZipEntry& entry, uint64_t max_size, std::string_view where) {
  const auto fail = [&](std::string_view what) {
    return data_error(fmt::format("{}: entry \"{}\" {}", where, entry.name, what));
  };
  // Deflate cannot shrink more than 1032 times (RFC 1951): a larger claim is a lie that must not be allocated.
  if (entry.size > max_size || (entry.is_deflated && entry.size / 1033 > entry.packed.size()))
    throw fail(fmt::format("claims to be {} unpacked", size_text(entry.size)));
  if (!entry.is_deflated) return std::string(entry.packed);

  std::string out(entry.size, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw environment_error("zlib does not start");
  auto* in = reinterpret_cast<Bytef*>(const_cast<char*>(entry.packed.data()));
  size_t unread = entry.packed.size(), unwritten = out.size();
  int status = Z_OK;
  while (status == Z_OK) {  // zlib counts in 32 bits
    constexpr size_t kMost = std::numeric_limits<uInt>::max();
    const uInt give = static_cast<uInt>(std::min(unread, kMost)), take = static_cast<uInt>(std::min(unwritten, kMost));
    stream.next_in = in;
    stream.avail_in = give;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + (out.size() - unwritten));
    stream.avail_out = take;
    status = inflate(&stream, Z_NO_FLUSH);
    in += give - stream.avail_in;
    unread -= give - stream.avail_in;
    unwritten -= take - stream.avail_out;
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END || unwritten != 0) throw fail("does not unpack: it is damaged");
  return out;
}

}  // namespace unnoise
