// glibc hands every block above 128 KiB (at most 32 MiB, it learns) straight back to the system, and each training step
// asks for the same hundreds of activations again: the kernel then clears every page anew, which cost PyTorch 15 % of
// the butterflies step and little of smaller ones. Here large blocks come from the heap and the heap does not shrink.
#include <malloc.h>

#include <limits>

#include "apps/cli/memory.h"

namespace unnoise::cli {

void keep_freed_memory() {
  constexpr int kMebibyte = 1 << 20;
  // Newer releases take any threshold, older ones at most 32 MiB.
  if (mallopt(M_MMAP_THRESHOLD, 1024 * kMebibyte) == 0) mallopt(M_MMAP_THRESHOLD, 32 * kMebibyte);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 * kMebibyte);  // grow in steps that are worth a system call
}

}  // namespace unnoise::cli
