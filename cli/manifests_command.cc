#include "cli/manifests_command.h"

#include "cli/exit_code.h"
#include "cli/parameters_input.h"
#include "cli/session.h"
#include "core/catalog/catalog.h"
#include "core/catalog/manifests.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

absl::StatusOr<std::string> Render(const Options& options) {
  CAPSTAN_ASSIGN_OR_RETURN(catalog::Catalog catalog,
                           catalog::Catalog::Load(Cat(options.catalog_dir, "/actions")));
  catalog::ManifestOptions manifest;
  auto set = [](const std::string& value, std::string* field) {
    if (!value.empty()) *field = value;
  };
  set(options.actions_namespace, &manifest.actions_namespace);
  set(options.system_namespace, &manifest.system_namespace);
  set(options.worker_account, &manifest.worker_account);
  manifest.target_namespaces = options.target_namespaces;
  CAPSTAN_ASSIGN_OR_RETURN(auto images, SplitPairs("--image", options.images));
  for (const auto& [alias, image] : images) manifest.images[alias] = image;
  return catalog::RenderManifests(catalog, manifest);
}

}  // namespace

int PrintManifests(const Options& options, Environment& environment) {
  absl::StatusOr<std::string> yaml = Render(options);
  if (!yaml.ok()) return UsageError(environment, std::string(yaml.status().message()));
  environment.out << *yaml << std::flush;
  return kOk;
}

}  // namespace capstan::cli
