#include "unnoise/recipes/doctor.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/recipes/doctor_checks.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

void check_doctor_options(const DoctorOptions& o) {
  const auto at_least = [](std::string_view flag, int64_t least, int64_t value) {
    if (value < least) throw usage_error(fmt::format("{}: expected at least {}, found {}", flag, least, value));
  };
  if (o.checks.empty()) throw usage_error("--checks: none was given");
  at_least("--lr-steps", 10, o.lr_steps);
  at_least("--run-steps", 4, o.run_steps);
  at_least("--overfit-steps", 1, o.overfit_steps);
  at_least("--overfit-images", 1, o.overfit_images);
  at_least("--noise-batches", 2, o.noise_batches);
  if (!(o.lr_lowest > 0 && o.lr_lowest < o.lr_highest))
    throw usage_error(fmt::format("--lr-lowest and --lr-highest: expected 0 < lowest < highest, found {:g} and {:g}",
                                  o.lr_lowest, o.lr_highest));
}

std::string title(DoctorCheck check) {
  switch (check) {
    case DoctorCheck::lr:
      return "learning rate";
    case DoctorCheck::run:
      return "short run";
    case DoctorCheck::overfit:
      return "overfit a batch";
    case DoctorCheck::noise_scale:
      return "batch size";
    case DoctorCheck::timesteps:
      return "noise levels";
  }
  return "?";
}

std::string text_of(const std::vector<Finding>& findings, const fs::path& folder) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{} {:<16} {}.\n", finding.healthy ? "ok" : "!!", title(finding.check), finding.found);
    if (!finding.advice.empty()) text += fmt::format("   {:<16} {}\n", "", finding.advice);
  }
  return text + fmt::format("figures: {}\n", folder.string());
}

Json json_of(const std::vector<Finding>& findings) {
  Json json = Json::object();
  for (const Finding& finding : findings)
    json[std::string(enum_name(finding.check))] = {{"healthy", finding.healthy},
                                                   {"found", finding.found},
                                                   {"advice", finding.advice},
                                                   {"figure", finding.figure},
                                                   {"numbers", finding.numbers}};
  return json;
}

}  // namespace

DoctorResult doctor(const DoctorOptions& options, const Observer& observer, std::stop_token stop) {
  check_doctor_options(options);
  use_machine(options);
  DoctorSubject subject(options, plan_training(options, {}));
  const Examination on{options, subject, observer, stop, options.report};
  const auto asked = [&](DoctorCheck check) {
    return !stop.stop_requested() &&
           std::find(options.checks.begin(), options.checks.end(), check) != options.checks.end();
  };
  DoctorResult result;
  if (asked(DoctorCheck::lr)) result.findings.push_back(examine_learning_rate(on));
  if (asked(DoctorCheck::overfit)) result.findings.push_back(examine_overfit(on));
  if (asked(DoctorCheck::run)) result.findings.push_back(examine_short_run(on));
  if (asked(DoctorCheck::noise_scale) || asked(DoctorCheck::timesteps)) {
    std::vector<std::pair<double, double>> losses;
    const Finding noise = examine_noise_scale(on, losses);
    if (asked(DoctorCheck::noise_scale)) result.findings.push_back(noise);
    if (asked(DoctorCheck::timesteps)) result.findings.push_back(examine_timesteps(on, losses));
  }
  if (stop.stop_requested()) return {JobStatus::interrupted, {}, ""};
  make_folders(options.report);
  const Json json = json_of(result.findings);
  write_json(fs::path(options.report) / "report.json", json);
  result.report = options.json ? dump_json(json) : text_of(result.findings, options.report);
  return result;
}

}  // namespace unnoise
