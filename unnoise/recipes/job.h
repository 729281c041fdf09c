// What every recipe has in common: a whole job from one options struct.
#pragma once

namespace unnoise {

enum class JobStatus {
  done,
  interrupted,  ///< the caller asked it to stop; what was finished is saved
};

}  // namespace unnoise
