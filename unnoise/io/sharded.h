// Weights in several safetensors (or .bin) files with an index that says which holds what.
#pragma once

#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Reads every file that the index's weight_map names, all beside the index; a name with a folder in it is refused.
/// Error::data when a file is missing or lacks a tensor that the index promises.
StateDict load_sharded(const fs::path& index_path);

/// Writes `dir/stem.safetensors`, or, when the weights take more than `max_shard_bytes`,
/// `dir/stem-00001-of-0000N.safetensors` ... and `dir/stem.safetensors.index.json`. Tensors fill the shards in their
/// order; one above the limit gets a shard of its own. Returns the names written.
std::vector<std::string> save_sharded(const fs::path& dir, const std::string& stem, const StateDict& weights,
                                      int64_t max_shard_bytes);

}  // namespace unnoise
