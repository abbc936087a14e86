#pragma once

#include "cli/commands.h"
#include "cli/options.h"

namespace capstan::cli {

// `capstan manifests`: reads the catalog and prints YAML. Asks no server.
int PrintManifests(const Options& options, Environment& environment);

}  // namespace capstan::cli
