// What every recipe has in common: a whole job from one options struct.
#pragma once

namespace unnoise {

enum class JobStatus {
  done,
  interrupted,  ///< the caller asked it to stop; what was finished is saved
};

/// For a program to call before its first job: makes tensors take their memory from a caching allocator from now on, in
/// the whole process. A recipe does not do so by itself, since it may be a guest in somebody else's program.
void prepare_process();

}  // namespace unnoise
