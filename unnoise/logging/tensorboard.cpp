#include "unnoise/logging/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>

#include "unnoise/core/error.h"
#include "unnoise/logging/crc32c.h"

namespace unnoise {
namespace {

constexpr std::string_view kFilePrefix = "events.out.tfevents.";

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

template <class Unsigned>
void append_little_endian(std::string& out, Unsigned value) {
  for (size_t i = 0; i < sizeof(value); ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

/// A protocol buffer message under construction: each field is a varint key (number * 8 + wire type), then its value.
class Message {
 public:
  Message& varint(int field, uint64_t value) {
    key(field, 0);
    raw_varint(value);
    return *this;
  }
  Message& fixed64(int field, double value) {
    key(field, 1);
    append_little_endian(bytes_, std::bit_cast<uint64_t>(value));
    return *this;
  }
  Message& text(int field, std::string_view value) {
    key(field, 2);
    raw_varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& fixed32(int field, float value) {
    key(field, 5);
    append_little_endian(bytes_, std::bit_cast<uint32_t>(value));
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int wire_type) {
    raw_varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire_type));
  }
  void raw_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

// Field numbers of the messages.
namespace event {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace summary {
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2, kImage = 4;
}
namespace image_summary {
constexpr int kHeight = 1, kWidth = 2, kColorspace = 3, kEncodedImage = 4;
}
namespace session_log {
constexpr int kStatus = 1;
constexpr uint64_t kStart = 1;
}  // namespace session_log

struct PngHeader {
  uint32_t width, height;
  uint64_t channels;
};

PngHeader png_header(std::string_view png) {
  constexpr std::string_view kStart("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  if (png.size() < 33 || !png.starts_with(kStart))
    throw usage_error("TensorBoard picture: expected the bytes of a PNG file");
  const auto number = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(png[at + i]);
    return value;
  };
  constexpr std::array<uint64_t, 7> kChannels = {1, 0, 3, 3, 2, 0, 4};  // by PNG colour type; a palette holds RGB
  const auto type = static_cast<size_t>(static_cast<unsigned char>(png[25]));
  return {number(16), number(20), type < kChannels.size() && kChannels[type] ? kChannels[type] : 3};
}

/// The seconds in the newest event file's name, 0 = none there.
int64_t newest_seconds(const fs::path& folder) {
  int64_t newest = 0;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kFilePrefix)) continue;
    int64_t seconds = 0;
    std::from_chars(name.data() + kFilePrefix.size(), name.data() + name.size(), seconds);
    newest = std::max(newest, seconds);
  }
  return newest;
}

fs::path new_file_name(const fs::path& folder) {
  make_folders(folder);
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == 0) host = {'h', 'o', 's', 't'};
  // A second run within the same second must still sort behind the first.
  const int64_t seconds = std::max(static_cast<int64_t>(seconds_since_1970()), newest_seconds(folder) + 1);
  return folder / fmt::format("{}{:010}.{}.{}.0", kFilePrefix, seconds, host.data(), ::getpid());
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(const fs::path& folder, std::optional<int64_t> resume_step)
    : file_(new_file_name(folder), /*must_be_new=*/true) {
  write_event(0, std::nullopt, event::kFileVersion, "brain.Event:2");
  if (resume_step)
    write_event(*resume_step + 1, std::nullopt, event::kSessionLog,
                Message().varint(session_log::kStatus, session_log::kStart).bytes());
}

void TensorBoardWriter::scalar(std::string_view tag, double value, int64_t step, std::optional<double> wall_time) {
  const Message point = Message().text(summary::kTag, tag).fixed32(summary::kSimpleValue, static_cast<float>(value));
  write_event(step, wall_time, event::kSummary, Message().text(summary::kValue, point.bytes()).bytes());
}

void TensorBoardWriter::image(std::string_view tag, std::string_view png, int64_t step,
                              std::optional<double> wall_time) {
  const PngHeader header = png_header(png);
  const Message picture = Message()
                              .varint(image_summary::kHeight, header.height)
                              .varint(image_summary::kWidth, header.width)
                              .varint(image_summary::kColorspace, header.channels)
                              .text(image_summary::kEncodedImage, png);
  const Message value = Message().text(summary::kTag, tag).text(summary::kImage, picture.bytes());
  write_event(step, wall_time, event::kSummary, Message().text(summary::kValue, value.bytes()).bytes());
}

void TensorBoardWriter::write_event(int64_t step, std::optional<double> wall_time, int what, std::string_view payload) {
  Message message;
  message.fixed64(event::kWallTime, wall_time.value_or(seconds_since_1970()));
  if (step != 0) message.varint(event::kStep, static_cast<uint64_t>(step));
  message.text(what, payload);

  // TFRecord: length, checksum of the length, data, checksum of the data.
  std::string record;
  append_little_endian(record, static_cast<uint64_t>(message.bytes().size()));
  append_little_endian(record, masked_crc32c(record));
  record += message.bytes();
  append_little_endian(record, masked_crc32c(message.bytes()));
  file_.append(record);
}

}  // namespace unnoise
