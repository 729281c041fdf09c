// PyTorch's own weight files (.bin, .pt, .ckpt) without Python: tensors are read, code is never run.
#pragma once

#include <string_view>

#include "unnoise/core/files.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// The tensors of a saved state dict, in its order; strides and shared storages are as they were saved, requires_grad
/// is dropped. A dict that holds the weights under "state_dict" is looked into; entries that are no tensors are left
/// out.
///
/// Both the zip container and the older stream are read. The pickle inside may name only OrderedDict, torch.Size,
/// dtypes, storage classes and torch._utils._rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3,
/// _rebuild_parameter; anything else is refused by name (Error::data). Every view is checked against its storage, and
/// every storage against the file.
StateDict load_torch_bin(const fs::path& path);

/// The same for a file in memory; `where` names it in errors. The bytes are copied.
StateDict parse_torch_bin(std::string_view bytes, std::string_view where);

}  // namespace unnoise
