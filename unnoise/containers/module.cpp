#include "unnoise/containers/module.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"

namespace unnoise {

const void* load_container_module(const char* name) {
  const std::string file = fmt::format("lib{}.so", name);
  void* module = dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL);
  std::string why = module ? "" : dlerror();
  if (!module) module = dlopen((std::string(UNNOISE_MODULE_FOLDER) + "/" + file).c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!module)
    throw environment_error(fmt::format("cannot load {}: {}", file, why),
                            "It belongs beside the program or where the installation put it; LD_LIBRARY_PATH names "
                            "other folders.");
  const auto entry = reinterpret_cast<ContainerEntry>(dlsym(module, kContainerEntry));
  const void* table = entry ? entry(kVersion) : nullptr;
  if (!table)
    throw environment_error(fmt::format("{}: not of this program's version, {}", file, kVersion),
                            "Install both together.");
  return table;
}

}  // namespace unnoise
