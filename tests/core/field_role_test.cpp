#include "unnoise/core/field_role.h"

#include <gmock/gmock.h>

#include <optional>

namespace unnoise {
namespace {

struct Marked {
  int64_t steps = 5;
  int64_t keep = 2;
  std::optional<std::string> folder;

  static constexpr auto fields() {
    using O = Marked;
    return std::tuple{section("What"), field("steps", &O::steps, "how many"), trace("keep", &O::keep, "how many files"),
                      place("folder", &O::folder, "where")};
  }
};

TEST(FieldRole, IsPartOfTheTable) {
  EXPECT_THAT(field_names<Marked>(FieldRole::result), testing::ElementsAre("steps"));
  EXPECT_THAT(field_names<Marked>(FieldRole::trace), testing::ElementsAre("keep"));
  EXPECT_THAT(field_names<Marked>(FieldRole::place), testing::ElementsAre("folder"));
}

TEST(FieldRole, ChangesNothingElse) {
  Marked options;
  assign_json(options, Json{{"folder", "x"}, {"keep", 7}}, "f");
  EXPECT_EQ(to_json(options), (Json{{"steps", 5}, {"keep", 7}, {"folder", "x"}}));
  EXPECT_EQ(option_rows(options)[1].flag(), "--keep");
}

}  // namespace
}  // namespace unnoise
