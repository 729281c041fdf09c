// Under which licence pictures are, and whose: what a set says of itself, for the cards of what is made of it.
#pragma once

#include <string>

#include "unnoise/core/files.h"
#include "unnoise/data/known_sets.h"

namespace unnoise {

struct DataLicence {
  std::string licence;  ///< "cc-by-4.0"; "" = not stated
  std::string credit;   ///< whose pictures they are; "" = not stated

  bool empty() const { return licence.empty() && credit.empty(); }
};

inline constexpr const char* kLicencesFile =
    "LICENCES.md";  ///< beside the pictures of what `unnoise data get` installs

/// The line of that file that says it of the pictures, which data_licence() reads.
std::string licence_line(std::string_view licence, std::string_view credit);

/// Of a folder: its card's licence, else its LICENCES.md, which also says whose the pictures are. Of an installed set,
/// by name or by its folder: what is known of it. Empty for all else.
DataLicence data_licence(const std::string& path_or_name);

/// Writes LICENCES.md for a set that is made of the pictures of `source`; nothing where nobody is to be named.
void pass_on_licence(const std::string& source, const fs::path& folder);

}  // namespace unnoise
