#include "unnoise/core/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

enum class Color { red, green };
constexpr auto enum_names(Color) { return std::array{std::pair{Color::red, "red"}, std::pair{Color::green, "green"}}; }

struct Options {
  bool use_ema = false;
  int64_t batch_size = 16;
  double learning_rate = 1e-4;
  std::string output = "out";
  Color color = Color::red;
  std::optional<int64_t> limit;
  std::vector<int64_t> seeds{1, 2};

  static constexpr auto fields() {
    using O = Options;
    return std::tuple{section("Data"),
                      field("use_ema", &O::use_ema, "average the weights"),
                      field("batch_size", &O::batch_size, "pictures a step"),
                      section("Rest"),
                      field("learning_rate", &O::learning_rate, "rate", FieldRole::loss),
                      field("output", &O::output, "folder"),
                      field("color", &O::color, "a color"),
                      field("limit", &O::limit, "at most", FieldRole::loss),
                      field("seeds", &O::seeds, "seeds")};
  }
};

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  return "";
}

TEST(Fields, JsonRoundTripKeepsEveryMember) {
  Options a;
  a.use_ema = true;
  a.learning_rate = 0.1;
  a.color = Color::green;
  a.limit = 7;
  a.seeds = {3};
  Options b;
  assign_json(b, to_json(a), "options.json");
  EXPECT_EQ(to_json(a), to_json(b));
  EXPECT_EQ(b.limit, 7);
}

TEST(Fields, UnknownKeyIsRefusedWithTheNearestName) {
  Options o;
  const auto text = message_of([&] { assign_json(o, Json{{"batch_sise", 3}}, "options.json"); });
  EXPECT_THAT(text, ::testing::AllOf(::testing::HasSubstr("options.json"),
                                     ::testing::HasSubstr("Did you mean \"batch_size\"?")));
  assign_json(o, Json{{"batch_sise", 3}}, "config.json", UnknownKeys::ignore);
  EXPECT_EQ(o.batch_size, 16);
}

TEST(Fields, WrongTypesNameTheKey) {
  Options o;
  EXPECT_THAT(message_of([&] {
                assign_json(o, Json{{"batch_size", "many"}}, "f");
              }),
              ::testing::HasSubstr("batch_size: expected a whole number"));
  EXPECT_THAT(message_of([&] {
                assign_json(o, Json{{"color", "blue"}}, "f");
              }),
              ::testing::HasSubstr("not one of red, green"));
}

TEST(Fields, RowsParseFlagsAndShowDefaults) {
  Options o;
  auto rows = option_rows(o);
  ASSERT_EQ(rows.size(), 7u);
  EXPECT_EQ(rows[1].flag(), "--batch-size");
  EXPECT_EQ(rows[1].default_text, "16");
  EXPECT_EQ(rows[1].section, "Data");
  EXPECT_EQ(rows[6].default_text, "1,2");
  rows[0].set("true");
  rows[1].set("32");
  rows[2].set("4e-4");
  rows[4].set("green");
  rows[5].set("3");
  rows[6].set("5,6,7");
  EXPECT_TRUE(o.use_ema);
  EXPECT_EQ(o.batch_size, 32);
  EXPECT_DOUBLE_EQ(o.learning_rate, 4e-4);
  EXPECT_EQ(o.color, Color::green);
  EXPECT_EQ(o.limit, 3);
  EXPECT_EQ(o.seeds, (std::vector<int64_t>{5, 6, 7}));
  EXPECT_THAT(message_of([&] { rows[1].set("1.5"); }),
              ::testing::HasSubstr("--batch-size: expected a whole number, found \"1.5\""));
}

struct WithRoles {
  int64_t steps = 5;
  int64_t keep = 2;
  std::optional<std::string> folder;

  static constexpr auto fields() {
    using O = WithRoles;
    return std::tuple{section("What"), field("steps", &O::steps, "how many"), trace("keep", &O::keep, "how many files"),
                      place("folder", &O::folder, "where")};
  }
};

TEST(Fields, AreFoundByTheirRole) {
  EXPECT_THAT(field_names<Options>(FieldRole::loss), ::testing::ElementsAre("learning_rate", "limit"));
  EXPECT_THAT(field_names<Options>(FieldRole::place), ::testing::IsEmpty());
  EXPECT_THAT(field_names<WithRoles>(FieldRole::result), ::testing::ElementsAre("steps"));
  EXPECT_THAT(field_names<WithRoles>(FieldRole::trace), ::testing::ElementsAre("keep"));
  EXPECT_THAT(field_names<WithRoles>(FieldRole::place), ::testing::ElementsAre("folder"));
}

TEST(Fields, ARoleChangesNothingElse) {
  WithRoles options;
  assign_json(options, Json{{"folder", "x"}, {"keep", 7}}, "f");
  EXPECT_EQ(to_json(options), (Json{{"steps", 5}, {"keep", 7}, {"folder", "x"}}));
  EXPECT_EQ(option_rows(options)[1].flag(), "--keep");
}

TEST(Fields, NullIsNoneAndTheEmptyList) {
  Options o;
  o.limit = 3;
  assign_json(o, Json{{"limit", nullptr}, {"seeds", nullptr}}, "f");
  EXPECT_EQ(o.limit, std::nullopt);
  EXPECT_TRUE(o.seeds.empty());
  EXPECT_THAT(message_of([&] { assign_json(o, Json{{"seeds", 3}}, "f"); }), ::testing::HasSubstr("seeds: expected a list"));
}

TEST(NearestName, FindsTyposAndRefusesStrangers) {
  const std::vector<std::string> names{"train", "sample", "info"};
  EXPECT_EQ(nearest_name("tran", names), "train");
  EXPECT_EQ(nearest_name("smaple", names), "sample");
  EXPECT_EQ(nearest_name("xyzzy", names), "");
}

}  // namespace
}  // namespace unnoise
