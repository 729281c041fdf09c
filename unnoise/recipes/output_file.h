// Files that a job is asked to write at its end.
#pragma once

#include <string>

namespace unnoise {

/// Makes the folders above `file`, so that a job fails before its work rather than after. Error::usage when the name is
/// a folder's.
void prepare_output_file(const std::string& file);

}  // namespace unnoise
