// The loss of a training loop as a picture.
#pragma once

#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/logging/line_plot.h"

namespace examples {

inline void draw_loss(const std::vector<double>& losses, const std::string& y_label, const std::string& file) {
  std::vector<double> steps;
  for (size_t i = 0; i < losses.size(); ++i) steps.push_back(static_cast<double>(i + 1));
  const unnoise::LinePlot plot{.title = "Loss",
                               .x_label = "step",
                               .y_label = y_label,
                               .curves = {{.name = "loss", .x = steps, .y = losses, .smoothing = 0.95}},
                               .log_y = true,
                               .legend = false};
  unnoise::write_file_atomic(file, unnoise::to_svg(plot));
}

}  // namespace examples
