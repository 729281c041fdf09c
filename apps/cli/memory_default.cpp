// For C libraries without mallopt: their allocators are left as they are.
#include "apps/cli/memory.h"

namespace unnoise::cli {

void keep_freed_memory() {}

}  // namespace unnoise::cli
