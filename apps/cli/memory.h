#pragma once

namespace unnoise::cli {

/// Makes malloc keep what tensors give back. Call once, first thing in main.
void keep_freed_memory();

}  // namespace unnoise::cli
