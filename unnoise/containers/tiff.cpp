#include "unnoise/containers/tiff.h"

#include "unnoise/containers/module.h"

namespace unnoise {

TiffPicture read_tiff(std::string_view bytes, std::string_view where,
                      const std::function<void(int64_t width, int64_t height)>& check_size) {
  static const auto* module = static_cast<const TiffModule*>(load_container_module("unnoise_tiff"));
  return module->read(bytes, where, check_size);
}

}  // namespace unnoise
