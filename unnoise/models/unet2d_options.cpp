#include "unnoise/models/unet2d_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"

namespace unnoise {
namespace fields_detail {

Json Value<SampleSize>::to_json(const SampleSize& v) {
  if (v.height == v.width) return v.height;
  return Json::array({v.height, v.width});
}

SampleSize Value<SampleSize>::from_json(std::string_view name, const Json& j) {
  using Integer = Value<int64_t>;
  if (j.is_string()) {  // from a command line
    Json parts = Json::array();
    for (const auto& part : split_list(j.get<std::string>())) parts.push_back(number_from_text(name, part, true));
    return from_json(name, parts);
  }
  if (!j.is_array()) {
    const int64_t side = Integer::from_json(name, j);
    return {side, side};
  }
  if (j.size() == 1) return from_json(name, j[0]);
  if (j.size() != 2) fail_type(name, "one number, or height and width", j.dump());
  return {Integer::from_json(name, j[0]), Integer::from_json(name, j[1])};
}

}  // namespace fields_detail

namespace {

constexpr int64_t kMostChannels = 1 << 16;  // far beyond any network; keeps sizes of hostile configs in range
constexpr size_t kMostBlocks = 16;

[[noreturn]] void fail(std::string_view field, const std::string& what, std::string hint = {}) {
  throw usage_error(fmt::format("UNet2DModel: {}: {}", field, what), std::move(hint));
}

void expect_between(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) fail(field, fmt::format("expected {} to {}, found {}", low, high, value));
}

bool is_skip(DownBlockType t) { return t == DownBlockType::skip_down || t == DownBlockType::attn_skip_down; }
bool is_skip(UpBlockType t) { return t == UpBlockType::skip_up || t == UpBlockType::attn_skip_up; }
bool has_attention(DownBlockType t) { return t == DownBlockType::attn_down || t == DownBlockType::attn_skip_down; }
bool has_attention(UpBlockType t) { return t == UpBlockType::attn_up || t == UpBlockType::attn_skip_up; }

void check_lengths(const UNet2DOptions& o) {
  if (o.block_out_channels.empty())
    fail("block_out_channels", "the list is empty", "Give the channels of each resolution.");
  if (o.block_out_channels.size() > kMostBlocks)
    fail("block_out_channels",
         fmt::format("expected at most {} blocks, found {}", kMostBlocks, o.block_out_channels.size()));
  const auto same_length = [&](std::string_view field, size_t length) {
    if (length != o.block_out_channels.size())
      fail(field, fmt::format("{} blocks, but block_out_channels has {}", length, o.block_out_channels.size()),
           "down_block_types, up_block_types and block_out_channels need one entry a resolution each.");
  };
  same_length("down_block_types", o.down_block_types.size());
  same_length("up_block_types", o.up_block_types.size());
}

void check_ranges(const UNet2DOptions& o) {
  for (const int64_t channels : o.block_out_channels) expect_between("block_out_channels", channels, 1, kMostChannels);
  expect_between("in_channels", o.in_channels, 1, kMostChannels);
  expect_between("out_channels", o.out_channels, 1, kMostChannels);
  expect_between("layers_per_block", o.layers_per_block, 1, 64);
  if (o.time_embedding_dim) expect_between("time_embedding_dim", *o.time_embedding_dim, 0, 4 * kMostChannels);
  if (o.num_class_embeds) expect_between("num_class_embeds", *o.num_class_embeds, 1, 1 << 24);
  if (o.sample_size) {
    expect_between("sample_size", o.sample_size->height, 1, 1 << 20);
    expect_between("sample_size", o.sample_size->width, 1, 1 << 20);
  }
  if (!(o.dropout >= 0 && o.dropout < 1)) fail("dropout", fmt::format("expected 0 to below 1, found {:g}", o.dropout));
  if (!(o.norm_eps >= 0) || !std::isfinite(o.norm_eps))
    fail("norm_eps", fmt::format("expected a small positive number, found {:g}", o.norm_eps));
  if (o.mid_block_scale_factor == 0 || !std::isfinite(o.mid_block_scale_factor))
    fail("mid_block_scale_factor", fmt::format("the sums are divided by it: {:g} cannot be", o.mid_block_scale_factor));
}

/// Positional frequencies divide by channels/2 - freq_shift.
void check_time(const UNet2DOptions& o) {
  const int64_t channels = o.block_out_channels[0];
  if (o.time_embedding_type == TimeEmbeddingType::positional && (channels < 2 || channels / 2 == o.freq_shift))
    fail("freq_shift", fmt::format("{} leaves no frequencies for {} channels", o.freq_shift, channels),
         "Use 0 or 1, and more channels in the first block.");
  if (o.time_embedding_type == TimeEmbeddingType::learned) {
    if (!o.num_train_timesteps)
      fail("num_train_timesteps", "a learned time embedding needs it", "The usual number is 1000.");
    expect_between("num_train_timesteps", *o.num_train_timesteps, 1, 1 << 24);
  }
}

/// A divisor of all, at most `limit`, to suggest.
int64_t common_groups(const std::vector<int64_t>& channels, int64_t limit) {
  int64_t all = 0;
  for (const int64_t c : channels) all = std::gcd(all, c);
  int64_t best = 1;
  for (int64_t g = 1; g <= std::min(all, limit); ++g)
    if (all % g == 0) best = g;
  return best;
}

void check_groups(const UNet2DOptions& o) {
  const auto& channels = o.block_out_channels;
  if (o.norm_num_groups) {
    expect_between("norm_num_groups", *o.norm_num_groups, 1, kMostChannels);
    for (size_t i = 0; i < channels.size(); ++i) {
      // Skip blocks choose their own groups; the output's norm and the middle's follow the option.
      const bool follows = i == 0 || i + 1 == channels.size() || !is_skip(o.down_block_types[i]) ||
                           !is_skip(o.up_block_types[channels.size() - 1 - i]);
      if (follows && channels[i] % *o.norm_num_groups != 0)
        fail("norm_num_groups",
             fmt::format("{} groups do not divide the {} channels of block_out_channels[{}]", *o.norm_num_groups,
                         channels[i], i),
             fmt::format("Use {}, or channels that are multiples of {}.", common_groups(channels, *o.norm_num_groups),
                         *o.norm_num_groups));
    }
  } else if (!std::all_of(o.down_block_types.begin(), o.down_block_types.end(), [](auto t) { return is_skip(t); }) ||
             !std::all_of(o.up_block_types.begin(), o.up_block_types.end(), [](auto t) { return is_skip(t); })) {
    fail("norm_num_groups", "null works only where every block is a skip block",
         fmt::format("Use {}.", common_groups(channels, 32)));
  }
  if (o.attn_norm_num_groups) {
    expect_between("attn_norm_num_groups", *o.attn_norm_num_groups, 1, kMostChannels);
    if (o.mid_block_type && o.add_attention && channels.back() % *o.attn_norm_num_groups != 0)
      fail("attn_norm_num_groups",
           fmt::format("{} groups do not divide the {} channels of the middle block", *o.attn_norm_num_groups,
                       channels.back()),
           fmt::format("Use {}, or null.", common_groups({channels.back()}, *o.attn_norm_num_groups)));
  }
}

void check_attention(const UNet2DOptions& o) {
  if (!o.attention_head_dim) return;
  const int64_t dim = *o.attention_head_dim;
  expect_between("attention_head_dim", dim, 1, kMostChannels);
  const size_t n = o.block_out_channels.size();
  for (size_t i = 0; i < n; ++i) {
    const bool in_middle = i + 1 == n && o.mid_block_type && o.add_attention;
    const bool used = in_middle || has_attention(o.down_block_types[i]) || has_attention(o.up_block_types[n - 1 - i]);
    if (used && dim > o.block_out_channels[i])
      fail("attention_head_dim",
           fmt::format("a head of {} does not fit the {} channels of block_out_channels[{}]", dim,
                       o.block_out_channels[i], i),
           fmt::format("Use at most {}, or null for one head.", o.block_out_channels[i]));
  }
}

/// Halving and doubling must lead back to the same sizes.
void check_resampling(const UNet2DOptions& o) {
  if (o.downsample_padding == 0 || o.downsample_padding == 1) return;
  for (size_t i = 0; i + 1 < o.down_block_types.size(); ++i) {
    const DownBlockType type = o.down_block_types[i];
    if (type == DownBlockType::down || (type == DownBlockType::attn_down && o.downsample_type == ResampleType::conv))
      fail("downsample_padding", fmt::format("expected 0 or 1, found {}", o.downsample_padding),
           "With other paddings a halved picture, doubled again, has another size.");
  }
}

/// Skip blocks carry a small RGB picture beside the features, at the resolution of every block so far.
void check_skips(const UNet2DOptions& o) {
  const size_t n = o.block_out_channels.size();
  bool down_skips = false, up_skips = false;
  for (size_t i = 0; i < n; ++i) {
    const bool halves = i + 1 < n;
    if (halves && is_skip(o.down_block_types[i])) {
      if (i > 0 && !down_skips)
        fail("down_block_types",
             fmt::format("{} at position {} needs skip blocks before it", enum_name(o.down_block_types[i]), i),
             "Use SkipDownBlock2D or AttnSkipDownBlock2D from the first block on.");
      down_skips = true;
    } else {
      down_skips = false;
    }
    if (up_skips && !is_skip(o.up_block_types[i]))
      fail("up_block_types", fmt::format("{} at position {} follows a skip block", enum_name(o.up_block_types[i]), i),
           "Use SkipUpBlock2D or AttnSkipUpBlock2D up to the last block.");
    if (halves && is_skip(o.up_block_types[i])) up_skips = true;
  }
  if (n > 1 && is_skip(o.down_block_types[0]) && o.in_channels != 3)
    fail("in_channels", fmt::format("the skip blocks of down_block_types need 3, found {}", o.in_channels));
  if (up_skips && o.out_channels != 3)
    fail("out_channels", fmt::format("the skip blocks of up_block_types need 3, found {}", o.out_channels));
}

/// Older spellings, and nulls that mean the default.
Json normalized(Json config) {
  for (const char* key : {"down_block_types", "up_block_types"})
    if (config.contains(key) && config[key].is_array())
      for (Json& type : config[key])
        if (type.is_string() && type.get_ref<const std::string&>().starts_with("UNetRes"))
          type = type.get_ref<const std::string&>().substr(7);
  if (config.contains("act_fn") && config["act_fn"].is_string()) {
    auto& name = config["act_fn"].get_ref<std::string&>();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  }
  for (const char* key : {"downsample_type", "upsample_type"})
    if (config.contains(key) && config[key].is_null()) config.erase(key);
  return config;
}

}  // namespace

UNet2DOptions unet2d_options(const Json& config) {
  if (!config.is_object()) throw usage_error("UNet2DModel: expected a JSON object, found " + config.dump());
  UNet2DOptions options;
  assign_json(options, normalized(config), "UNet2DModel", UnknownKeys::ignore);
  check_unet2d_options(options);
  return options;
}

Json unet2d_config(const UNet2DOptions& options) {
  Json config = to_json(options);
  config["_class_name"] = "UNet2DModel";
  config["_diffusers_version"] = kDiffusersVersion;
  const double scale = options.mid_block_scale_factor;  // Python's default is the whole number 1
  if (scale == std::floor(scale) && std::abs(scale) < 1e9)
    config["mid_block_scale_factor"] = static_cast<int64_t>(scale);
  return config;
}

void check_unet2d_options(const UNet2DOptions& options) {
  check_lengths(options);
  check_ranges(options);
  check_time(options);
  check_groups(options);
  check_attention(options);
  check_resampling(options);
  check_skips(options);
}

}  // namespace unnoise
