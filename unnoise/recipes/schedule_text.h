// Noise schedules as text and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/recipes/schedule_table.h"

namespace unnoise {

/// What stands in the columns, a line each, in the field's words.
std::string explain_columns(const std::vector<ScheduleCurve>& curves, bool is_run);

/// A row of heads, then the points whose numbers are in `rows`. With a `count_head` ("call") they are numbered from 1.
std::string text_table(const ScheduleTable& table, const std::vector<int64_t>& rows,
                       const std::vector<ScheduleCurve>& curves, std::string_view count_head);

/// name, scheduler, timesteps, and a list a curve; null where a number is not finite.
Json json_table(const ScheduleTable& table, const std::vector<ScheduleCurve>& curves);

}  // namespace unnoise
