#include "unnoise/io/safetensors.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include "format_bytes.h"

namespace unnoise {
namespace {

using test::error_of;
using test::little_endian;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

std::string file_of(const std::string& header, size_t data_bytes) {
  return little_endian<uint64_t>(header.size()) + header + std::string(data_bytes, '\0');
}

std::string refusal(const std::string& header, size_t data_bytes) {
  const Error error = error_of([&] { SafetensorsFile::parse(file_of(header, data_bytes), "\"x.safetensors\""); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.message(), HasSubstr("x.safetensors"));
  return error.what();
}

TEST(Safetensors, RoundTripsTensorsAndMetadata) {
  const TemporaryFolder dir;
  const StateDict saved = {{"b", at::arange(6, at::kFloat).view({2, 3})},
                           {"scalar", at::ones({}, at::kHalf)},
                           {"empty", at::zeros({0, 4})},
                           {"flags", at::arange(3).gt(1)},
                           {"a", at::arange(4)}};
  save_safetensors(dir / "x.safetensors", saved, {{"format", "pt"}, {"note", "é"}});
  const auto file = SafetensorsFile::open(dir / "x.safetensors");
  EXPECT_EQ(file.metadata().at("note"), "é");
  EXPECT_THAT(file.names(), ElementsAre("a", "b", "empty", "scalar", "flags"));  // wide dtypes first, then by name
  for (const auto& [name, tensor] : saved) {
    EXPECT_EQ(file.tensor(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(file.tensor(name), tensor)) << name;
  }
}

TEST(Safetensors, WritesViewsContiguously) {
  const TemporaryFolder dir;
  const Tensor transposed = at::arange(6, at::kFloat).view({2, 3}).t();
  save_safetensors(dir / "x.safetensors", {{"w", transposed}});
  const Tensor read = SafetensorsFile::open(dir / "x.safetensors").tensor("w");
  EXPECT_TRUE(read.is_contiguous());
  EXPECT_TRUE(at::equal(read, transposed));
}

TEST(Safetensors, TensorOutlivesTheFileAndIsPrivate) {
  const TemporaryFolder dir;
  save_safetensors(dir / "x.safetensors", {{"w", at::ones({3})}});
  Tensor w = SafetensorsFile::open(dir / "x.safetensors").tensor("w");
  w.fill_(7);  // memory only
  save_safetensors(dir / "x.safetensors", {{"w", at::zeros({3})}});
  EXPECT_TRUE(at::equal(w, at::full({3}, 7.0)));
  EXPECT_TRUE(at::equal(SafetensorsFile::open(dir / "x.safetensors").tensor("w"), at::zeros({3})));
}

TEST(Safetensors, ReadsUnalignedData) {  // other writers need not pad the header
  const std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} )";
  ASSERT_NE(header.size() % 4, 0U);
  auto bytes = file_of(header, 4);
  bytes.replace(bytes.size() - 4, 4, little_endian(2.5F));
  EXPECT_EQ(SafetensorsFile::parse(bytes, "x").tensor("w").item<float>(), 2.5F);
}

TEST(Safetensors, RejectsHeaderLargerThanTheFile) {
  const std::string bytes = little_endian<uint64_t>(9'000'000'000) + "{}" + std::string(2000, ' ');
  const Error error = error_of([&] { SafetensorsFile::parse(bytes, "\"x.safetensors\""); });
  EXPECT_THAT(error.message(),
              HasSubstr("\"x.safetensors\": the header says that it is 9.0 GB long, the file has 2.0 kB"));
  EXPECT_THAT(error.hint(), HasSubstr("again"));
}

TEST(Safetensors, RejectsWhatIsNoHeader) {
  EXPECT_THAT(error_of([] { SafetensorsFile::parse("abc", "x"); }).message(), HasSubstr("it has 3 bytes"));
  EXPECT_THAT(refusal("[]", 0), HasSubstr("does not start with \"{\""));
  EXPECT_THAT(refusal("{\"w\":", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"w\":" + std::string(1000, '['), 0), HasSubstr("nested deeper"));
  EXPECT_THAT(refusal(R"({"w":3})", 0), HasSubstr("tensor \"w\": expected {\"dtype\": text"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"a":1}})", 0), HasSubstr("__metadata__ \"a\" is not a text"));
}

TEST(Safetensors, RejectsDuplicateNames) {
  const std::string entry = R"("w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_THAT(refusal("{" + entry + "," + entry + "}", 0), HasSubstr("two entries named \"w\""));
}

TEST(Safetensors, RejectsUnknownDtype) {
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4),
              HasSubstr("unknown dtype \"F31\"; known are"));
}

TEST(Safetensors, RejectsShapesThatDoNotFitTheirBytes) {
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
              HasSubstr("tensor \"w\": F32 [2] takes 8 bytes, its data_offsets [0, 4] hold 4"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), HasSubstr("takes 8 bytes"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
              HasSubstr("shape [4294967296, 4294967296] is too large to be true"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})", 0),
              HasSubstr("too large to be true"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4),
              HasSubstr("shape holds -1, not a size"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}})", 4),
              HasSubstr("data_offsets holds 18446744073709551615, not a size"));
}

TEST(Safetensors, RejectsOverlappingOffsets) {
  EXPECT_THAT(
      refusal(
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
          12),
      HasSubstr("tensor \"b\" begins at byte 4 of the data, the one before it ends at 8 (they overlap)"));
}

TEST(Safetensors, RejectsHoles) {
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8), HasSubstr("(a hole)"));
}

TEST(Safetensors, RejectsDataThatEndsElsewhere) {
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_THAT(refusal(header, 6), HasSubstr("describes 8 bytes of data, the file has 6"));
  EXPECT_THAT(refusal(header, 6), HasSubstr("cut short"));
  EXPECT_THAT(refusal(header, 9), HasSubstr("describes 8 bytes of data, the file has 9"));
}

TEST(Safetensors, RejectsBoolsThatAreNone) {
  auto bytes = file_of(R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", 2);
  bytes.back() = 2;
  EXPECT_THAT(error_of([&] { SafetensorsFile::parse(bytes, "x").tensor("a"); }).message(),
              HasSubstr("other than 0 and 1"));
}

TEST(Safetensors, ExplainsGitLfsPointers) {
  const TemporaryFolder dir;
  write_file_atomic(dir / "x.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 455\n");
  const Error error = error_of([&] { SafetensorsFile::open(dir / "x.safetensors"); });
  EXPECT_THAT(error.message(), HasSubstr("is a Git-LFS pointer"));
  EXPECT_THAT(error.hint(), HasSubstr("git lfs pull"));
}

TEST(Safetensors, NamesTheFileThatIsNotThere) {
  const TemporaryFolder dir;
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(dir / "none"); }).message(), HasSubstr("No such file"));
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(dir.path()); }).message(), HasSubstr("is a folder"));
  write_file_atomic(dir / "empty", "");
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(dir / "empty"); }).message(), HasSubstr("is empty"));
}

TEST(Safetensors, SuggestsTheNearestTensor) {
  const TemporaryFolder dir;
  save_safetensors(dir / "x.safetensors", {{"conv_in.weight", at::ones({1})}});
  const auto file = SafetensorsFile::open(dir / "x.safetensors");
  EXPECT_THAT(error_of([&] { file.tensor("conv_in.wieght"); }).hint(), HasSubstr("\"conv_in.weight\""));
}

TEST(Safetensors, RefusesToWriteWhatTheFormatLacks) {
  const TemporaryFolder dir;
  const auto refused = [&](const StateDict& tensors) {
    const Error error = error_of([&] { save_safetensors(dir / "x.safetensors", tensors); });
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_TRUE(fs::is_empty(dir.path()));
    return error.message();
  };
  const Tensor one = at::ones({1});
  EXPECT_THAT(refused({{"w", one}, {"w", one}}), HasSubstr("\"w\" is there twice"));
  EXPECT_THAT(refused({{"__metadata__", one}}), HasSubstr("reserved"));
  EXPECT_THAT(refused({{"w", Tensor()}}), HasSubstr("\"w\" is undefined"));
  EXPECT_THAT(refused({{"w", at::ones({1}, at::kComplexDouble)}}), HasSubstr("ComplexDouble"));
  EXPECT_THAT(refused({{"\xff", one}}), HasSubstr("not valid UTF-8"));
}

TEST(Safetensors, DamagedFilesGiveValuesOrErrors) {
  const TemporaryFolder dir;
  save_safetensors(dir / "x",
                   {{"a", at::ones({2, 3})}, {"b", at::zeros({0})}, {"c", at::arange(3).gt(1)}, {"d", at::ones({})}});
  test::expect_value_or_error(read_file(dir / "x"), 4000,
                              [](const std::string& bytes) { SafetensorsFile::parse(bytes, "x").state(); });
}

}  // namespace
}  // namespace unnoise
