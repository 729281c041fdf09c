#include "unnoise/recipes/job.h"

#include "unnoise/nn/allocator.h"

namespace unnoise {

void prepare_process() { use_caching_allocator(); }

}  // namespace unnoise
