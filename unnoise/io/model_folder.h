// Model folders as diffusers reads and writes them: model_index.json, scheduler/, unet/, or all of it in one flat
// folder.
#pragma once

#include <string>
#include <string_view>

#include "unnoise/core/json.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// `model_dir/component/config_name`, or, where that file is not there, `model_dir/config_name` (flat uploads; also
/// what component = "" means). The whole object is kept, unknown keys too. Error::data says what was looked for, what
/// the folder holds and which name comes near.
Json load_component_config(const fs::path& model_dir, std::string_view component,
                           std::string_view config_name = "config.json");

/// The weights of a component, from the subfolder or the flat folder. Of several encodings the first of these is taken:
/// sharded safetensors (with index), one safetensors file, sharded .bin, one .bin. `variant` ("fp16") picks files that
/// carry it in their name; without one, plain files are preferred and a folder's only variant (or fp16 of several) is
/// taken else. Attention weights under their old names are renamed, see rename_old_attention().
StateDict load_component_weights(const fs::path& model_dir, std::string_view component,
                                 const std::string& variant = "");

/// query, key, value, proj_attn -> to_q, to_k, to_v, to_out.0, as files from before diffusers 0.15 call them; weights
/// of 1x1 convolutions [C,C,1,1] become [C,C]. A name whose new form is also there stays as it is.
void rename_old_attention(StateDict& weights);

/// Writes `dir/config_name` as diffusers does: sorted keys, two spaces, without the keys that it keeps in memory only.
void save_component_config(const fs::path& dir, const Json& config, std::string_view config_name = "config.json");

/// Writes `dir` (for example out/unet): the weights as diffusion_pytorch_model.safetensors, above `max_shard_bytes` as
/// numbered shards with an index; then config.json. Weights of an earlier save that would be read instead are removed.
/// Each file is replaced atomically; for the folder as a whole fill one with write_folder_atomic().
void save_component(const fs::path& dir, const Json& config, const StateDict& weights,
                    int64_t max_shard_bytes = 10'000'000'000);

/// model_index.json of a pipeline: _class_name, [library, class] for each component ([null, null] when absent), plain
/// settings. Error::data when there is none or a component is no such pair.
Json load_model_index(const fs::path& model_dir);
void save_model_index(const fs::path& model_dir, const Json& index);

}  // namespace unnoise
