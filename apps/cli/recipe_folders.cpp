#include "apps/cli/recipe_folders.h"

#include <system_error>

namespace unnoise::cli {

std::vector<std::filesystem::path> recipe_folders() {
  namespace fs = std::filesystem;
  std::error_code ec;
  const fs::path program = fs::read_symlink("/proc/self/exe", ec).parent_path();
  std::vector<fs::path> folders;
  for (const char* place : {"recipes", "../recipes", "../share/unnoise/recipes"}) {
    const fs::path folder = (program / place).lexically_normal();
    if (!program.empty() && fs::is_directory(folder, ec)) folders.push_back(folder);
  }
  return folders;
}

}  // namespace unnoise::cli
