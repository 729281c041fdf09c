#include "unnoise/recipes/card.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/io/model_card.h"
#include "unnoise/recipes/card_text.h"

namespace unnoise {
namespace {

/// The option's, else what the present card states, else the run's.
std::string license_of(const CardOptions& o, const CardFacts& facts) {
  if (o.license) return *o.license;
  const std::string stated = read_license(o.model);
  const Json of_run = facts.options.value("license", Json());
  return stated.empty() && of_run.is_string() ? of_run.get<std::string>() : stated;
}

}  // namespace

std::string write_card(const CardOptions& options) {
  if (options.model.empty()) throw usage_error("--model: which model folder?", "--model my-model");
  CardFacts facts = read_card_facts(options.model);
  if (options.evaluation) {
    const Json measured = read_json(*options.evaluation);
    add_evaluation(facts, read_evaluation(measured, fmt::format("--evaluation {}", *options.evaluation)));
    if (!options.print) save_evaluation(options.model, measured);
  }
  const ModelCard card = model_card(facts, options.name.value_or(facts.name), license_of(options, facts));
  if (options.print) return model_card_text(card);
  const fs::path path = fs::path(options.model) / "README.md";
  if (!save_model_card(options.model, card, options.force ? ExistingCard::replace : ExistingCard::keep))
    throw usage_error(fmt::format("\"{}\" was written or changed by a person, and stays", path.string()),
                      "--force replaces it; --print shows what would be written.");
  return path.string() + "\n";
}

}  // namespace unnoise
