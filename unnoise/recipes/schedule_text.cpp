#include "unnoise/recipes/schedule_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace unnoise {
namespace {

struct Column {
  ScheduleCurve curve;
  std::string_view head;
  int width;
  int decimals;
  std::string_view meaning;
};
constexpr std::array kColumns{
    Column{ScheduleCurve::sqrt_alphas_cumprod, "sqrt(abar)", 11, 4, "how much of the picture x0 is in x_t"},
    Column{ScheduleCurve::sqrt_one_minus_alphas_cumprod, "sqrt(1-abar)", 13, 4, "how much noise eps is in x_t"},
    Column{ScheduleCurve::log_snr, "log-SNR", 9, 3,
           "ln(abar / (1-abar)), signal to noise: 0 = as much picture as noise"},
    Column{ScheduleCurve::sigmas, "sigma", 11, 4,
           "noise on a picture of its own size, sqrt((1-abar) / abar): what k-diffusion's samplers count in"},
    Column{ScheduleCurve::alphas_cumprod, "abar", 9, 5,
           "product of all 1-beta so far: the picture's share in the variance"},
    Column{ScheduleCurve::betas, "beta", 10, 6, "variance of the noise that this timestep adds"},
};

const Column& column_of(ScheduleCurve curve) {
  return *std::find_if(kColumns.begin(), kColumns.end(), [&](const Column& c) { return c.curve == curve; });
}

std::string number_text(double value, int width, int decimals) {
  return std::isnan(value) ? fmt::format("{:>{}}", "-", width) : fmt::format("{:>{}.{}f}", value, width, decimals);
}

/// "999", "999.5", "0.3117": as many decimals as it takes, at most four.
std::string timestep_text(double timestep) {
  std::string text = fmt::format("{:.4f}", timestep);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

Json finite_numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(std::isfinite(value) ? Json(value) : Json());
  return list;
}

}  // namespace

std::string explain_columns(const std::vector<ScheduleCurve>& curves, bool is_run) {
  const auto line = [](std::string_view head, std::string_view meaning) {
    return fmt::format("  {:<13} {}\n", head, meaning);
  };
  std::string out = is_run ? line("call", "calls of the network, in order") +
                                 line("timestep", "what the network is told: how far along the way to noise")
                           : line("timestep", "how far along the way from picture (0) to noise");
  for (const ScheduleCurve curve : curves) out += line(column_of(curve).head, column_of(curve).meaning);
  return out;
}

std::string text_table(const ScheduleTable& table, const std::vector<int64_t>& rows,
                       const std::vector<ScheduleCurve>& curves, std::string_view count_head) {
  std::string out = count_head.empty() ? "" : fmt::format("{:>7}", count_head);
  out += fmt::format("{:>10}", "timestep");
  for (const ScheduleCurve curve : curves) out += fmt::format(" {:>{}}", column_of(curve).head, column_of(curve).width);
  out += "\n";
  for (const int64_t i : rows) {
    const SchedulePoint& point = table.points[static_cast<size_t>(i)];
    if (!count_head.empty()) out += fmt::format("{:>7}", i + 1);
    out += fmt::format("{:>10}", timestep_text(point.timestep));
    for (const ScheduleCurve curve : curves)
      out += " " + number_text(point.value(curve), column_of(curve).width, column_of(curve).decimals);
    out += "\n";
  }
  return out;
}

Json json_table(const ScheduleTable& table, const std::vector<ScheduleCurve>& curves) {
  Json json{{"name", table.name},
            {"scheduler", table.class_name},
            {"num_train_timesteps", table.num_train_timesteps},
            {"timesteps", finite_numbers(table.timesteps())}};
  if (table.steps) json["num_inference_steps"] = *table.steps;
  for (const ScheduleCurve curve : curves) json[std::string(enum_name(curve))] = finite_numbers(table.values(curve));
  return json;
}

}  // namespace unnoise
