// The recipes behind the commands. They need LibTorch, and to map and set up its 400 MB costs a quarter of a second:
// they are in a module of their own, which a command loads when it has work to do. Help, completion and complaints
// about flags never do.
#pragma once

#include "unnoise/recipes/bench.h"
#include "unnoise/recipes/card.h"
#include "unnoise/recipes/classifier.h"
#include "unnoise/recipes/compare.h"
#include "unnoise/recipes/data_jobs.h"
#include "unnoise/recipes/doctor.h"
#include "unnoise/recipes/ema.h"
#include "unnoise/recipes/evaluate.h"
#include "unnoise/recipes/info.h"
#include "unnoise/recipes/noise.h"
#include "unnoise/recipes/pull.h"
#include "unnoise/recipes/push.h"
#include "unnoise/recipes/recipe_run.h"
#include "unnoise/recipes/sample.h"
#include "unnoise/recipes/samplers.h"
#include "unnoise/recipes/schedule.h"
#include "unnoise/recipes/sweep.h"
#include "unnoise/recipes/train.h"

namespace unnoise::cli {

/// A row a recipe. The program knows the types alone; the module, which makes the one object, fills in the functions.
struct Jobs {
  decltype(&unnoise::train) train = &unnoise::train;
  decltype(&unnoise::sample) sample = &unnoise::sample;
  decltype(&unnoise::info) info = &unnoise::info;
  decltype(&unnoise::samplers_report) samplers_report = &unnoise::samplers_report;
  decltype(&unnoise::evaluate) evaluate = &unnoise::evaluate;
  decltype(&unnoise::rebuild_averages) rebuild_averages = &unnoise::rebuild_averages;
  decltype(&unnoise::train_classifier) train_classifier = &unnoise::train_classifier;
  decltype(&unnoise::bench) bench = &unnoise::bench;
  decltype(&unnoise::show_schedules) show_schedules = &unnoise::show_schedules;
  decltype(&unnoise::write_card) write_card = &unnoise::write_card;
  decltype(&unnoise::push) push = &unnoise::push;
  decltype(&unnoise::pull) pull = &unnoise::pull;
  decltype(&unnoise::find_model) find_model = &unnoise::find_model;
  decltype(&unnoise::find_dataset) find_dataset = &unnoise::find_dataset;
  decltype(&unnoise::inspect_data) inspect_data = &unnoise::inspect_data;
  decltype(&unnoise::preview_data) preview_data = &unnoise::preview_data;
  decltype(&unnoise::check_data) check_data = &unnoise::check_data;
  decltype(&unnoise::split_data) split_data = &unnoise::split_data;
  decltype(&unnoise::build_data) build_data = &unnoise::build_data;
  decltype(&unnoise::get_data) get_data = &unnoise::get_data;
  decltype(&unnoise::draw_noise_strip) draw_noise_strip = &unnoise::draw_noise_strip;
  decltype(&unnoise::recipe_list) recipe_list = &unnoise::recipe_list;
  decltype(&unnoise::recipe_text) recipe_text = &unnoise::recipe_text;
  decltype(&unnoise::run_recipe) run_recipe = &unnoise::run_recipe;
  decltype(&unnoise::write_recipe_from_run) write_recipe_from_run = &unnoise::write_recipe_from_run;
  decltype(&unnoise::recipe_train_options) recipe_train_options = &unnoise::recipe_train_options;
  decltype(&unnoise::check_recipe_data) check_recipe_data = &unnoise::check_recipe_data;
  decltype(&unnoise::sweep) sweep = &unnoise::sweep;
  decltype(&unnoise::compare) compare = &unnoise::compare;
  decltype(&unnoise::doctor) doctor = &unnoise::doctor;
};

/// Loads the module at the first call. Error::environment when it, or LibTorch, is not to be found or is of another
/// version than the program.
const Jobs& jobs();

/// What the module exports, under this very name: its table, or null for a program of another version.
using JobsEntry = const Jobs* (*)(const char* version);
constexpr const char* kJobsEntry = "unnoise_jobs";

}  // namespace unnoise::cli
