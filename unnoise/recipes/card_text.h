// A model card from what is known of a model.
#pragma once

#include <string>

#include "unnoise/io/model_card.h"
#include "unnoise/recipes/card_facts.h"

namespace unnoise {

/// `name` is what users load it by: "user/name" or a folder's name. Paths of this machine and secrets are left out:
/// cards are public.
ModelCard model_card(const CardFacts& facts, const std::string& name, const std::string& license);

/// "unnoise train ..." with the options that differ from their defaults, one a line; folders by their last part. A file
/// of the network is written out, from the model's own configuration: others do not have it.
std::string training_command(const Json& options, const Json& unet);

}  // namespace unnoise
