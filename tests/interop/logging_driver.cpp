// Writes event files as the request says: [{"folder", "resume_step"?, "events": [{"tag", "step", "wall_time", "value" |
// "png"}]}]. Prints the path of each file.
#include <cstdio>
#include <optional>

#include "unnoise/core/json.h"
#include "unnoise/logging/tensorboard.h"

int main(int, char** argv) {
  using namespace unnoise;
  for (const Json& file : read_json(argv[1])) {
    std::optional<int64_t> resume_step;
    if (file.contains("resume_step")) resume_step = file["resume_step"].get<int64_t>();
    TensorBoardWriter writer(file["folder"].get<std::string>(), resume_step);
    for (const Json& event : file["events"]) {
      const auto tag = event["tag"].get<std::string>();
      const auto step = event["step"].get<int64_t>();
      const auto wall_time = event["wall_time"].get<double>();
      if (event.contains("png"))
        writer.image(tag, read_file(event["png"].get<std::string>()), step, wall_time);
      else
        writer.scalar(tag, event["value"].get<double>(), step, wall_time);
    }
    std::puts(writer.path().c_str());
  }
}
