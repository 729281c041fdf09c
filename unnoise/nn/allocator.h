// Where the memory of tensors on the processor comes from.
#pragma once

#include "unnoise/kernels/caching_allocator.h"

namespace unnoise {

/// From now on, in the whole process, tensors take their memory from one kernels::CachingAllocator that lives as long
/// as the process. For a program to call once, before its threads start; the library does not by itself.
void use_caching_allocator();

/// Of that allocator; zeros before use_caching_allocator().
kernels::CachingAllocatorStatistics allocator_statistics();
/// Gives the memory that no tensor holds back to the system.
void release_cached_memory();

}  // namespace unnoise
