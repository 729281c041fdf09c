// --push-to-hub of a training run: as diffusers' script, the model goes up each time it is saved.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {

/// Before the training: makes the repository, so that a wrong token or name is known before an hour has passed. Gives
/// its full name. Throws what the hub says.
std::string prepare_push(const TrainOptions& options, const Observer& observer, std::stop_token stop);

/// Uploads what is in the run folder. During the run (`epoch`) trouble is a warning: training goes on. After the last
/// one it is an Error that says where the model is and how to send it.
void push_trained(const TrainOptions& options, int64_t epoch, bool is_last, const Observer& observer,
                  std::stop_token stop);

}  // namespace unnoise
