// The subcommands of "recipe": list, show, run, sweep, compare, from-run.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"
#include "apps/cli/recipe_folders.h"
#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

struct RecipeListOptions {
  bool json = false;
  static constexpr auto fields() {
    return std::tuple{field("json", &RecipeListOptions::json, "print JSON instead of text")};
  }
};

struct RecipeShowOptions {
  static constexpr auto fields() { return std::tuple{}; }
};

struct RecipeFromRunOptions {
  std::optional<std::string> output;
  static constexpr auto fields() {
    return std::tuple{field("output", &RecipeFromRunOptions::output, "file to write; default: only print it")};
  }
};

/// Options and the words beside them: recipes or run folders.
template <HasFields T>
T parse_with_words(std::string_view command, Arguments arguments, std::vector<std::string>& words) {
  T options;
  const auto rows = option_rows(options);
  const auto given = parse_flags(command, rows, arguments, PlainWords::taken);
  set_options(options, rows, given);
  words = given.words;
  return options;
}

std::string the_one_word(const std::vector<std::string>& words, std::string_view what, std::string_view usage) {
  if (words.size() == 1) return words[0];
  throw usage_error(fmt::format("expected one {}, found {}", what, words.size()), std::string(usage));
}

int list(Arguments arguments) {
  const auto options = parse_options<RecipeListOptions>("recipe list", arguments);
  print(jobs().recipe_list(recipe_folders(), options.json));
  return kDone;
}

int show(Arguments arguments) {
  std::vector<std::string> words;
  parse_with_words<RecipeShowOptions>("recipe show", arguments, words);
  print(jobs().recipe_text(the_one_word(words, "recipe", "unnoise recipe show NAME|FILE"), recipe_folders()));
  return kDone;
}

int run_one(Arguments arguments) {
  std::vector<std::string> words;
  const auto options = parse_with_words<RecipeRunOptions>("recipe run", arguments, words);
  const std::string recipe = the_one_word(words, "recipe", "unnoise recipe run NAME|FILE");
  JobConsole console;
  const RecipeRunResult result =
      jobs().run_recipe(recipe, recipe_folders(), options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

/// "--vary a=1 --vary b=2" as one "--vary a=1,b=2": elsewhere the last of a flag counts.
std::vector<std::string> with_one_vary(Arguments arguments) {
  std::vector<std::string> words;
  std::string all;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool joined = word.starts_with("--vary=");
    if (joined || (word == "--vary" && i + 1 < arguments.size()))
      all += (all.empty() ? "" : ",") + (joined ? word.substr(7) : arguments[++i]);
    else
      words.push_back(word);
  }
  if (!all.empty()) words.push_back("--vary=" + all);
  return words;
}

int run_sweep(Arguments arguments) {
  std::vector<std::string> words;
  const auto options = parse_with_words<SweepOptions>("recipe sweep", with_one_vary(arguments), words);
  const std::string recipe =
      the_one_word(words, "recipe", "unnoise recipe sweep NAME|FILE --vary lr=1e-4,4e-4 --vary batch=16,32");
  JobConsole console;
  const SweepResult result = jobs().sweep(recipe, recipe_folders(), options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

int run_compare(Arguments arguments) {
  std::vector<std::string> words;
  const auto options = parse_with_words<CompareOptions>("recipe compare", arguments, words);
  if (words.empty())
    throw usage_error("nothing to compare", "unnoise recipe compare RUN RUN ... [--output report.html]");
  JobConsole console;
  const std::string report = jobs().compare(words, options, console.observer());
  console.finish();
  print(report);
  return kDone;
}

int from_run(Arguments arguments) {
  std::vector<std::string> words;
  const auto options = parse_with_words<RecipeFromRunOptions>("recipe from-run", arguments, words);
  const std::string folder = the_one_word(words, "run folder", "unnoise recipe from-run RUN --output recipe.json");
  JobConsole console;
  const std::string text = jobs().write_recipe_from_run(folder, options.output, console.observer());
  console.finish();
  print(options.output ? *options.output + "\n" : text);
  return kDone;
}

std::vector<Command> recipe_commands() {
  std::vector<Command> commands;
  commands.push_back({"recipe list",
                      "the recipes that come with the program",
                      "[--json]",
                      "Name, minutes of training on two processor cores, and what it draws.",
                      {{"What there is:", "unnoise recipe list"}},
                      shown_options<RecipeListOptions>(),
                      {},
                      list});
  commands.push_back({"recipe show",
                      "a recipe as JSON",
                      "NAME|FILE",
                      "What the program understands it to say. Save it as a file, change it, run the file.",
                      {{"One to start your own from:", "unnoise recipe show digits-8"}},
                      shown_options<RecipeShowOptions>(),
                      {},
                      show});
  commands.push_back(
      {"recipe run",
       "run a recipe: train, draw, measure",
       "NAME|FILE [options]",
       "The same recipe on the same machine gives the same losses, exactly. The run's folder gets a model, "
       "grid.png, recipe.json and result.json; so it is a recipe itself.",
       {{"Digits in seconds:", "unnoise recipe run digits-8"},
        {"Five minutes of a recipe, whatever the machine:",
         "unnoise recipe run fashion-32-15min --budget-minutes 5 --output-dir runs/quick"},
        {"A run of your own once more:", "unnoise recipe run runs/quick --output-dir runs/again"}},
       shown_options<RecipeRunOptions>(),
       {},
       run_one});
  commands.push_back({"recipe sweep",
                      "try settings against each other",
                      "NAME|FILE --vary SETTING=VALUE,... [--vary ...] [options]",
                      "Every combination is a run. At each comparison only the better runs go on (successive halving). "
                      "Stop it with Ctrl-C or a power cut; the same command goes on. At the end, or when the budget is "
                      "used up: a ranked table, and report.html with curves and samples.",
                      {{"Two learning rates, two batch sizes:",
                        "unnoise recipe sweep digits-8 --vary lr=5e-4,2e-3 --vary batch=32,128"},
                       {"Networks of three widths, at most half an hour:",
                        "unnoise recipe sweep fashion-28-5min --vary \"channels=[16,32,32],[32,64,64]\" "
                        "--budget-minutes 30"}},
                      shown_options<SweepOptions>(),
                      {},
                      run_sweep});
  commands.push_back({"recipe compare",
                      "rank runs beside each other",
                      "RUN|SWEEP ... [options]",
                      "Settings that differ, losses, measurements, time and memory as a table, the best first. With "
                      "--output one HTML file with curves and samples in it, to send to somebody.",
                      {{"Two runs:", "unnoise recipe compare runs/a runs/b --output report.html"},
                       {"Runs that unnoise train made, by a loss that can be compared:",
                        "unnoise recipe compare runs/a runs/b --held-out-images 128"}},
                      shown_options<CompareOptions>(),
                      {},
                      run_compare});
  commands.push_back({"recipe from-run",
                      "the recipe of a run that exists",
                      "RUN [--output FILE]",
                      "Its options, its network and the hash of its pictures in one file that anyone can run again.",
                      {{"To share how a model was made:", "unnoise recipe from-run my-model --output my-recipe.json"}},
                      shown_options<RecipeFromRunOptions>(),
                      {},
                      from_run});
  return commands;
}

}  // namespace

Command recipe_command() {
  Command group{"recipe",
                "repeat, vary and compare training runs",
                "",
                "A recipe is one JSON file: data, network, training, sampler, seed. It can be run again by anyone, "
                "varied and compared.",
                {{"What comes with the program:", "unnoise recipe list"}, {"Run one:", "unnoise recipe run digits-8"}},
                {},
                {},
                {}};
  group.subcommands = recipe_commands();
  return group;
}

}  // namespace unnoise::cli
