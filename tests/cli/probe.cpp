// A stand-in for the program: the same shared parts around a command that only pretends to work, so that the tests of
// flags, progress and Ctrl-C need no model.
#include <chrono>
#include <stdexcept>
#include <thread>

#include "apps/cli/arguments.h"
#include "apps/cli/job_console.h"
#include "apps/cli/program.h"
#include "unnoise/core/error.h"

namespace {

using namespace unnoise;

enum class Color { red, light_blue };
constexpr auto enum_names(Color) {
  return std::array{std::pair{Color::red, "red"}, std::pair{Color::light_blue, "light-blue"}};
}

struct PaintOptions {
  std::string output_dir = "wall";
  Color color = Color::red;
  int64_t num_coats = 2;
  double coat_thickness = 0.5;
  bool wet_paint = false;
  std::optional<bool> gloss;
  std::optional<int64_t> seed;
  std::vector<int64_t> layers = {1, 2};
  int64_t step_ms = 0;
  std::string fail;

  static constexpr auto fields() {
    using O = PaintOptions;
    return std::tuple{
        section("Wall"),
        field("output_dir", &O::output_dir, "the wall: it's [any] folder"),
        field("color", &O::color, "colour of the paint"),
        section("Work"),
        field("num_coats", &O::num_coats, "how often to paint"),
        field("coat_thickness", &O::coat_thickness, "millimetres"),
        field("wet_paint", &O::wet_paint, "put up a sign"),
        field("gloss", &O::gloss, "shine (true or false); default: as the wall"),
        field("seed", &O::seed, "decides the drips"),
        field("layers", &O::layers, "a list"),
        field("step_ms", &O::step_ms, "how long a step takes"),
        field("fail", &O::fail, "how to fail: usage, data, environment, bug, torch, memory"),
    };
  }
};

void fail(const std::string& how) {
  if (how == "usage") throw usage_error("no such wall", "Build one.");
  if (how == "data") throw data_error("the wall is a curtain");
  if (how == "environment") throw environment_error("it rains");
  if (how == "bug") throw std::logic_error("brush is null");
  if (how == "torch")
    throw std::runtime_error(
        "shape mismatch\nException raised from check at /x/y.cpp:12 (most recent call first):\nframe #0: z");
  if (how == "memory") throw std::bad_alloc();
}

int paint(cli::Arguments arguments) {
  const auto options = cli::parse_options<PaintOptions>("paint", arguments);
  cli::JobConsole console;
  const Observer observer = console.observer();
  const std::stop_token stop = console.stop();
  fail(options.fail);
  for (int64_t coat = 1; coat <= options.num_coats; ++coat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(options.step_ms));
    observer.progress({"paint", coat, options.num_coats, "colour " + std::string(enum_name(options.color)), 12.5,
                       static_cast<double>(options.num_coats - coat)});
    if (coat == options.num_coats / 2) observer.info("half of the wall is done");
    if (coat == options.num_coats / 2) observer.warn("little paint is left");
    if (stop.stop_requested()) {
      observer.info("saved");
      return cli::kInterrupted;
    }
  }
  console.finish();
  cli::print(dump_json_line(to_json(options)) + "\n");
  return cli::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  const cli::Command command{"paint",
                             "paint a wall",
                             "[options]",
                             "Paints.",
                             {{"Twice, in blue:", "unnoise paint --num-coats 2 --color light-blue"}},
                             cli::shown_options<PaintOptions>(),
                             {},
                             paint};
  cli::Command brush{.name = "brush", .summary = "look after the brushes"};
  brush.subcommands = {
      {"brush wash", "wash one", "[options]", "Washes.", {}, cli::shown_options<PaintOptions>(), {}, paint},
      {.name = "brush count", .summary = "count them", .run = [](cli::Arguments arguments) {
         cli::print(fmt::format("{} words\n", arguments.size()));
         return cli::kDone;
       }}};
  return cli::run_program({command, brush}, std::vector<std::string>(argv + 1, argv + argc));
}
