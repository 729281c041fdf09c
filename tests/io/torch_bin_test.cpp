// The container and the pickle by hand; files of the real torch.save are in tests/interop/test_formats.py.
#include "unnoise/io/torch_bin.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <zlib.h>

#include "format_bytes.h"
#include "unnoise/io/pickle.h"
#include "unnoise/io/zip.h"

namespace unnoise {
namespace {

using namespace std::string_literals;
using test::error_of;
using test::little_endian;
using testing::HasSubstr;

/// A zip container with stored entries.
std::string zip_of(const std::vector<std::pair<std::string, std::string>>& entries, uint16_t method = 0) {
  std::string file, directory;
  for (const auto& [name, content] : entries) {
    const std::string common = little_endian<uint16_t>(0) + little_endian(method) + little_endian<uint32_t>(0) +
                               little_endian<uint32_t>(0) + little_endian<uint32_t>(content.size()) +
                               little_endian<uint32_t>(content.size()) + little_endian<uint16_t>(name.size()) +
                               little_endian<uint16_t>(0);
    directory +=
        "PK\x01\x02\x14\0"s + "\x14\0"s + common + std::string(10, '\0') + little_endian<uint32_t>(file.size()) + name;
    file += "PK\x03\x04\x14\0"s + common + name + content;
  }
  const std::string count = little_endian<uint16_t>(entries.size());
  return file + directory + "PK\x05\x06\0\0\0\0"s + count + count + little_endian<uint32_t>(directory.size()) +
         little_endian<uint32_t>(file.size()) + "\0\0"s;
}

std::string text(const std::string& s) { return "X" + little_endian<uint32_t>(s.size()) + s; }
std::string small(uint8_t n) { return "K" + std::string(1, static_cast<char>(n)); }
std::string tuple(const std::string& items) { return "(" + items + "t"; }

/// {"w": a float tensor of these sizes, strides and offset over storage "0" of `elements`}.
std::string pickle_of(const std::string& sizes, const std::string& strides, uint8_t offset, uint8_t elements) {
  const std::string storage =
      tuple(text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + small(elements)) + "Q";
  return "\x80\x02}" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n" +
         tuple(storage + small(offset) + tuple(sizes) + tuple(strides) + "\x89" + "ccollections\nOrderedDict\n)R") +
         "Rs.";
}

std::string floats(int n) {
  std::string bytes;
  for (int i = 0; i < n; ++i) bytes += little_endian(static_cast<float>(i));
  return bytes;
}

std::string file_of(const std::string& pickle, int n = 6) {
  return zip_of({{"x/data.pkl", pickle}, {"x/byteorder", "little"}, {"x/data/0", floats(n)}});
}

std::string refusal(const std::string& bytes) {
  const Error error = error_of([&] { parse_torch_bin(bytes, "\"x.bin\""); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.message(), HasSubstr("x.bin"));
  return error.what();
}

TEST(TorchBin, ReadsATransposedView) {
  const auto state = parse_torch_bin(file_of(pickle_of(small(3) + small(2), small(1) + small(3), 0, 6)), "x");
  ASSERT_EQ(state.size(), 1U);
  EXPECT_EQ(state[0].first, "w");
  EXPECT_TRUE(at::equal(state[0].second, at::arange(6, at::kFloat).view({2, 3}).t()));
}

TEST(TorchBin, RefusesViewsBeyondTheirStorage) {
  EXPECT_THAT(refusal(file_of(pickle_of(small(7), small(1), 0, 6))),
              HasSubstr("tensor \"w\" (sizes [7], strides [1], offset 0) reaches beyond its storage of 6 elements"));
  EXPECT_THAT(refusal(file_of(pickle_of(small(2), small(1), 5, 6))), HasSubstr("reaches beyond"));
  EXPECT_THAT(refusal(file_of(pickle_of(small(2), small(6), 0, 6))), HasSubstr("reaches beyond"));
  EXPECT_THAT(refusal(file_of(pickle_of("J\xff\xff\xff\xff", small(1), 0, 6))), HasSubstr("reaches beyond"));
  EXPECT_THAT(refusal(file_of(pickle_of(small(2), "J\xff\xff\xff\xff", 5, 6))), HasSubstr("reaches beyond"));
  const std::string huge = "\x8a\x08\0\0\0\0\0\0\0\x40"s;  // 2^62
  EXPECT_THAT(refusal(file_of(pickle_of(huge + huge, small(0) + small(0), 0, 6))), HasSubstr("reaches beyond"));
  EXPECT_THAT(refusal(file_of(pickle_of(small(2), huge + small(1), 0, 6))), HasSubstr("no usable sizes and strides"));
}

TEST(TorchBin, RefusesStoragesThatAreTooSmallOrMissing) {
  EXPECT_THAT(refusal(file_of(pickle_of(small(6), small(1), 0, 6), 5)),
              HasSubstr("storage \"0\" should hold 6 elements of 4 bytes, it has 20 bytes"));
  EXPECT_THAT(refusal(zip_of({{"x/data.pkl", pickle_of(small(1), small(1), 0, 6)}})),
              HasSubstr("storage \"0\" is not in the file"));
}

TEST(TorchBin, RefusesEveryOtherGlobalByName) {
  for (const std::string name : {"os\nsystem", "builtins\neval", "torch\nload", "torch.nn.modules.linear\nLinear"}) {
    std::string dotted = name;
    dotted.replace(dotted.find('\n'), 1, ".");
    EXPECT_THAT(refusal(file_of("\x80\x02"
                                "c" +
                                name + "\n" + tuple(text("x")) + "R.")),
                HasSubstr("\"" + dotted + "\""));
    EXPECT_THAT(refusal(file_of("\x80\x02(" + text("x") + "i" + name + "\n.")), HasSubstr("\"" + dotted + "\""));
    const size_t newline = name.find('\n');
    EXPECT_THAT(
        refusal(file_of("\x80\x04" + text(name.substr(0, newline)) + text(name.substr(newline + 1)) + "\x93)R.")),
        HasSubstr("\"" + dotted + "\""));
  }
}

TEST(TorchBin, RefusesBrokenPickles) {
  EXPECT_THAT(refusal(file_of("\x80\x02}")), HasSubstr("cut short"));
  EXPECT_THAT(refusal(file_of("\x80\x02R.")), HasSubstr("a value is missing"));
  EXPECT_THAT(refusal(file_of("\x80\x02t.")), HasSubstr("a mark is missing"));
  EXPECT_THAT(refusal(file_of("\x80\x02h\x05.")), HasSubstr("that it has not stored"));
  EXPECT_THAT(refusal(file_of("\x80\x02" + small(1) + ")R.")), HasSubstr("no function"));
  EXPECT_THAT(refusal(file_of("\x80\x02\xff.")), HasSubstr("opcode 0xff"));
  EXPECT_THAT(refusal(file_of("\x80\x09.")), HasSubstr("protocol 9 is newer"));
  EXPECT_THAT(refusal(file_of("\x80\x02X\xff\xff\xff\x7f"
                              "abc")),
              HasSubstr("cut short"));
}

TEST(TorchBin, RefusesWhatHoldsNoTensors) {
  EXPECT_THAT(refusal(file_of("\x80\x02].")), HasSubstr("no dict of tensors"));
  EXPECT_THAT(refusal(file_of("\x80\x02}" + text("a") + small(1) + "s.")), HasSubstr("without any tensor"));
  EXPECT_TRUE(parse_torch_bin(file_of("\x80\x02}."), "x").empty());
}

TEST(TorchBin, SurvivesAListThatHoldsItself) {
  EXPECT_THAT(refusal(file_of("\x80\x02]q" + std::string(1, '\1') + "h\1a.")), HasSubstr("no dict of tensors"));
}

TEST(TorchBin, SaysWhatAFileIsInstead) {
  EXPECT_THAT(refusal("hello, world"), HasSubstr("neither a zip container nor a pickle"));
  EXPECT_THAT(refusal(little_endian<uint64_t>(2) + "{}"), HasSubstr("looks like safetensors"));
  EXPECT_THAT(refusal(zip_of({{"a.txt", "hi"}})), HasSubstr("it has no data.pkl"));
  EXPECT_THAT(refusal(zip_of({{"x/data.pkl", "\x80\x02}."}, {"x/constants.pkl", ""}})), HasSubstr("TorchScript"));
  EXPECT_THAT(refusal("\x80\x02}."), HasSubstr("a pickle, but none that torch.save wrote"));
  EXPECT_THAT(refusal(zip_of({{"x/data.pkl", "\x80\x02}."}, {"x/byteorder", "middle"}})),
              HasSubstr("byte order \"middle\""));
  EXPECT_THAT(refusal(std::string(257, '\0') + "ustar" + std::string(250, '\0')), HasSubstr("tar format"));
}

TEST(TorchBin, DamagedFilesGiveValuesOrErrors) {
  const auto parse = [](const std::string& bytes) {
    for (const auto& [name, tensor] : parse_torch_bin(bytes, "x")) static_cast<void>(tensor.sum().item<double>());
  };
  test::expect_value_or_error(file_of(pickle_of(small(3) + small(2), small(1) + small(3), 0, 6)), 4000, parse);
}

TEST(Pickle, DamagedPicklesGiveValuesOrErrors) {
  const std::string valid = pickle_of(small(3) + small(2), small(1) + small(3), 0, 6);
  test::expect_value_or_error(valid, 4000,
                              [](const std::string& bytes) { read_pickle(bytes, "x", [](auto) { return true; }); });
}

TEST(Zip, RefusesDamage) {
  const auto refusal_of = [](const std::string& bytes) {
    return std::string(error_of([&] { read_zip(bytes, "x.zip"); }).what());
  };
  const std::string valid = zip_of({{"a", "hello"}});
  ASSERT_EQ(read_zip(valid, "x").at(0).packed, "hello");
  EXPECT_THAT(refusal_of(valid.substr(0, valid.size() - 1)), HasSubstr("cut short"));
  EXPECT_THAT(refusal_of("PK\x03\x04"), HasSubstr("no end record"));
  EXPECT_THAT(refusal_of(zip_of({{"a", "x"}, {"a", "y"}})), HasSubstr("two entries are named \"a\""));
  EXPECT_THAT(refusal_of(zip_of({{"a", "x"}}, 12)), HasSubstr("compression 12"));
  std::string encrypted = valid;
  encrypted[valid.find("PK\x01\x02") + 8] = 1;
  EXPECT_THAT(refusal_of(encrypted), HasSubstr("encrypted"));
  std::string beyond = valid;
  beyond.replace(valid.find("PK\x01\x02") + 20, 8, "\xff\xff\xff\x7f\xff\xff\xff\x7f");
  EXPECT_THAT(refusal_of(beyond), HasSubstr("beyond the file's end"));
}

TEST(Zip, DoesNotAllocateWhatAnEntryMerelyClaims) {
  ZipEntry bomb{.name = "a", .size = uint64_t{1} << 40, .packed = "x", .is_deflated = true};
  EXPECT_THAT(error_of([&] { unpack(bomb, bomb.size, "x.zip"); }).message(), HasSubstr("claims to be 1.1 TB"));
  bomb.size = 100;
  EXPECT_THAT(error_of([&] { unpack(bomb, 10, "x.zip"); }).message(), HasSubstr("claims to be 100 bytes"));
  EXPECT_THAT(error_of([&] { unpack(bomb, 100, "x.zip"); }).message(), HasSubstr("does not unpack"));
}

}  // namespace
}  // namespace unnoise
