#include "unnoise/recipes/info.h"
