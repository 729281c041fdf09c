// Noise schedules as curves.
#pragma once

#include <optional>
#include <vector>

#include "unnoise/logging/line_plot.h"
#include "unnoise/recipes/schedule_table.h"

namespace unnoise {

/// A panel a curve (sqrt(abar) and sqrt(1-abar) share one), a colour a schedule. All tables are of training timesteps
/// or all of runs; those of runs have a panel of the timesteps they visit, too. Error::usage for more schedules than
/// there are colours.
PlotSheet plot_schedules(const std::vector<ScheduleTable>& tables, const std::vector<ScheduleCurve>& curves,
                         std::optional<bool> log_scale);

}  // namespace unnoise
