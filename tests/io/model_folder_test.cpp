#include "unnoise/io/model_folder.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include "format_bytes.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/io/sharded.h"

namespace unnoise {
namespace {

using test::error_of;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

const std::string kWeights = "diffusion_pytorch_model";

std::vector<std::string> names_in(const fs::path& dir) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir)) names.push_back(entry.path().filename());
  return names;
}

void put_weights(const fs::path& dir, const std::string& name, float value) {
  make_folders(dir);
  save_safetensors(dir / name, {{"w", at::full({2}, value)}});
}

float first_value(const StateDict& weights) { return weights.at(0).second[0].item<float>(); }

TEST(ModelFolder, SavedComponentIsReadBack) {
  const TemporaryFolder dir;
  const Json config = {
      {"_class_name", "UNet2DModel"}, {"our_own_key", {1, 2.5, nullptr}}, {"_use_default_values", {"x"}}};
  save_component(dir / "m/unet", config, {{"a", at::arange(4, at::kFloat)}, {"b", at::ones({2, 2})}});
  const Json read = load_component_config(dir / "m", "unet");
  EXPECT_EQ(read["our_own_key"], config["our_own_key"]);  // unknown keys survive
  EXPECT_FALSE(read.contains("_use_default_values"));     // diffusers keeps these in memory only
  EXPECT_TRUE(at::equal(load_component_weights(dir / "m", "unet").at(0).second, at::arange(4, at::kFloat)));
}

TEST(ModelFolder, ReadsTheFlatLayout) {
  const TemporaryFolder dir;
  save_component(dir / "m", {{"_class_name", "UNet2DModel"}}, {{"w", at::ones({1})}});
  EXPECT_EQ(load_component_config(dir / "m", "unet")["_class_name"], "UNet2DModel");
  EXPECT_EQ(load_component_weights(dir / "m", "unet").size(), 1U);
  EXPECT_EQ(load_component_weights(dir / "m", "").size(), 1U);
}

TEST(ModelFolder, ShardsAboveTheLimitAndReplacesThem) {
  const TemporaryFolder dir;
  const StateDict weights = {
      {"a", at::ones({10})}, {"b", at::full({10}, 2.0)}, {"c", at::full({50}, 3.0)}, {"d", at::zeros({5})}};
  save_component(dir / "unet", Json::object(), weights, 80);
  EXPECT_THAT(names_in(dir / "unet"),
              UnorderedElementsAre("config.json", kWeights + ".safetensors.index.json",
                                   kWeights + "-00001-of-00003.safetensors", kWeights + "-00002-of-00003.safetensors",
                                   kWeights + "-00003-of-00003.safetensors"));
  const auto read = load_component_weights(dir.path(), "unet");
  ASSERT_EQ(read.size(), weights.size());
  for (const auto& [name, tensor] : read)
    for (const auto& [wanted, value] : weights)
      if (name == wanted) EXPECT_TRUE(at::equal(tensor, value)) << name;

  put_weights(dir / "unet", kWeights + ".fp16.safetensors", 1);
  save_component(dir / "unet", Json::object(), {{"w", at::ones({1})}});
  EXPECT_THAT(names_in(dir / "unet"),  // what would be read instead is gone, the variant is left
              UnorderedElementsAre("config.json", kWeights + ".safetensors", kWeights + ".fp16.safetensors"));
  EXPECT_EQ(load_component_weights(dir.path(), "unet").size(), 1U);
}

TEST(ModelFolder, PrefersPlainWeightsThenTheOnlyVariant) {
  const TemporaryFolder dir;
  put_weights(dir / "unet", kWeights + ".fp16.safetensors", 16);
  EXPECT_EQ(first_value(load_component_weights(dir.path(), "unet")), 16);
  put_weights(dir / "unet", kWeights + ".safetensors", 32);
  EXPECT_EQ(first_value(load_component_weights(dir.path(), "unet")), 32);
  EXPECT_EQ(first_value(load_component_weights(dir.path(), "unet", "fp16")), 16);
}

TEST(ModelFolder, AsksWhichVariantIsMeant) {
  const TemporaryFolder dir;
  put_weights(dir / "unet", kWeights + ".ema.safetensors", 1);
  put_weights(dir / "unet", kWeights + ".non_ema.safetensors", 2);
  EXPECT_THAT(error_of([&] { load_component_weights(dir.path(), "unet"); }).message(),
              HasSubstr("several variants of the weights: ema, non_ema"));
  EXPECT_THAT(error_of([&] { load_component_weights(dir.path(), "unet", "fp16"); }).hint(),
              HasSubstr("Variants there: ema, non_ema"));
  put_weights(dir / "unet", kWeights + ".fp16.safetensors", 16);
  EXPECT_EQ(first_value(load_component_weights(dir.path(), "unet")), 16);
}

TEST(ModelFolder, RenamesOldAttention) {
  StateDict weights = {{"mid_block.attentions.0.query.weight", at::ones({2, 2, 1, 1})},
                       {"mid_block.attentions.0.proj_attn.bias", at::ones({2})},
                       {"mid_block.attentions.0.to_v.weight", at::ones({2, 2})},
                       {"mid_block.attentions.0.value.weight", at::ones({2, 2})},
                       {"conv_shortcut.weight", at::ones({2, 2, 1, 1})}};
  rename_old_attention(weights);
  EXPECT_EQ(weights[0].first, "mid_block.attentions.0.to_q.weight");
  EXPECT_EQ(weights[0].second.dim(), 2);
  EXPECT_EQ(weights[1].first, "mid_block.attentions.0.to_out.0.bias");
  EXPECT_EQ(weights[3].first,
            "mid_block.attentions.0.value.weight");  // its new name is taken: load_state will report it
  EXPECT_EQ(weights[4].second.dim(), 4);
}

TEST(ModelFolder, KeepsOldAttentionNamesWhereTheyAreCurrent) {
  const TemporaryFolder dir;
  save_component(dir / "unet", {{"_class_name", "UNet1DModel"}}, {{"a.query.weight", at::ones({1})}});
  EXPECT_EQ(load_component_weights(dir.path(), "unet").at(0).first, "a.query.weight");
}

TEST(ModelFolder, SaysWhichFolderIsMissingAndWhichIsNear) {
  const TemporaryFolder dir;
  make_folders(dir / "butterflies");
  const Error error = error_of([&] { load_component_config(dir / "buterflies", "unet"); });
  EXPECT_THAT(error.message(), AllOf(HasSubstr("no model folder"), HasSubstr("buterflies")));
  EXPECT_EQ(error.hint(), "Did you mean \"butterflies\"?");
  write_file_atomic(dir / "file", "x");
  EXPECT_THAT(error_of([&] { load_component_config(dir / "file", "unet"); }).message(),
              HasSubstr("is a file; expected a model folder"));
}

TEST(ModelFolder, ListsWhatIsThereInstead) {
  const TemporaryFolder dir;
  make_folders(dir / "m/unnet");
  write_json(dir / "m/model_index.json", Json::object());
  Error error = error_of([&] { load_component_config(dir / "m", "unet"); });
  EXPECT_THAT(error.message(), AllOf(HasSubstr("no config.json for \"unet\": there is no folder"),
                                     HasSubstr("holds model_index.json, unnet/")));
  EXPECT_EQ(error.hint(), "Did you mean \"unnet\"?");

  make_folders(dir / "m/unet");
  write_json(dir / "m/unet/confg.json", Json::object());
  error = error_of([&] { load_component_config(dir / "m", "unet"); });
  EXPECT_THAT(error.message(), HasSubstr("m/unet\" holds confg.json"));

  error = error_of([&] { load_component_weights(dir / "m", "unet"); });
  EXPECT_THAT(error.message(), HasSubstr("no diffusion_pytorch_model.safetensors for \"unet\""));
}

TEST(ModelFolder, RejectsConfigsThatAreNoObjects) {
  const TemporaryFolder dir;
  write_json(dir / "config.json", Json::array());
  EXPECT_THAT(error_of([&] { load_component_config(dir.path(), "unet"); }).message(),
              HasSubstr("expected a JSON object"));
  write_file_atomic(dir / "config.json", "{\"a\": ");
  EXPECT_THAT(error_of([&] { load_component_config(dir.path(), "unet"); }).message(), HasSubstr("not valid JSON"));
}

TEST(Sharded, RefusesFilesElsewhere) {
  const TemporaryFolder dir;
  for (const std::string file : {"../x.safetensors", "/etc/passwd", "a\\b", "..", ""}) {
    write_json(dir / "index.json", {{"weight_map", {{"w", file}}}});
    EXPECT_THAT(error_of([&] { load_sharded(dir / "index.json"); }).message(), HasSubstr("leads elsewhere")) << file;
  }
}

TEST(Sharded, NamesWhatIsMissing) {
  const TemporaryFolder dir;
  write_json(dir / "index.json", {{"weight_map", {{"w", "a.safetensors"}}}});
  EXPECT_THAT(error_of([&] { load_sharded(dir / "index.json"); }).message(),
              HasSubstr("the shard \"a.safetensors\" is missing"));
  save_safetensors(dir / "a.safetensors", {{"v", at::ones({1})}});
  EXPECT_THAT(error_of([&] { load_sharded(dir / "index.json"); }).message(),
              HasSubstr("\"a.safetensors\" should hold the tensor \"w\""));
  write_json(dir / "index.json", Json::object());
  EXPECT_THAT(error_of([&] { load_sharded(dir / "index.json"); }).message(), HasSubstr("no \"weight_map\""));
  write_json(dir / "index.json", {{"weight_map", {{"w", 3}}}});
  EXPECT_THAT(error_of([&] { load_sharded(dir / "index.json"); }).message(),
              HasSubstr("the file of \"w\" is not a text"));
}

TEST(ModelIndex, KeepsPairsAndAbsentComponents) {
  const TemporaryFolder dir;
  const Json index = {{"_class_name", "DDPMPipeline"},
                      {"unet", {"diffusers", "UNet2DModel"}},
                      {"vae", {nullptr, nullptr}},
                      {"flag", true}};
  save_model_index(dir / "m", index);
  EXPECT_EQ(load_model_index(dir / "m"), index);
  EXPECT_THAT(read_file(dir / "m/model_index.json"), HasSubstr("  \"vae\": [\n    null,\n    null\n  ]\n}\n"));
}

TEST(ModelIndex, RejectsWhatIsNone) {
  const TemporaryFolder dir;
  make_folders(dir / "unet");
  Error error = error_of([&] { load_model_index(dir.path()); });
  EXPECT_THAT(error.message(), AllOf(HasSubstr("it has no model_index.json"), HasSubstr("holds unet/")));
  write_json(dir / "model_index.json", {{"unet", {"diffusers", "UNet2DModel"}}});
  EXPECT_THAT(error_of([&] { load_model_index(dir.path()); }).message(), HasSubstr("\"_class_name\""));
  write_json(dir / "model_index.json", {{"_class_name", "DDPMPipeline"}, {"unet", {"diffusers", 3}}});
  EXPECT_THAT(error_of([&] { load_model_index(dir.path()); }).message(),
              HasSubstr("component \"unet\" should be [library, class]"));
}

}  // namespace
}  // namespace unnoise
