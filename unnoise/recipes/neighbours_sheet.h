// The check for copies as a picture.
#pragma once

#include "unnoise/recipes/labelled_grid.h"
#include "unnoise/recipes/quality.h"

namespace unnoise {

/// Up to 40 drawn pictures, those with the lowest scores first (of pixels or features, whichever is further below its
/// threshold), five a row; beside each the nearest training picture by pixels, then by features. `quality` must hold
/// the check (Metric::nn).
LabelledGrid neighbours_sheet(const PictureSet& generated, const QualityReference& reference, const Quality& quality);

}  // namespace unnoise
