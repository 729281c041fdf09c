// Libraries that few jobs need and that take longer to map than the rest of a job's start (Arrow 12 ms, libarchive with
// its 15 dependencies 9 ms) are behind modules of our own, opened at the first call that needs one (adr/0013).
#pragma once

#include <cstddef>

namespace unnoise {

/// The table of functions that module "lib<name>.so" exports. It is looked for by the run path of whoever is linked to
/// this library, then where the installation put it. Error::environment, saying what is missing, when it cannot be
/// opened or is of another version.
const void* load_container_module(const char* name);

/// What a module exports, under this name: its table, or null for a program of another version.
using ContainerEntry = const void* (*)(const char* version);
constexpr const char* kContainerEntry = "unnoise_container";

}  // namespace unnoise
