#include "worker/task/definitions.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "core/workflow/loader.h"

namespace capstan::worker {

absl::StatusOr<std::shared_ptr<const v1::Workflow>> Definitions::Find(const std::string& name,
                                                                      const std::string& digest) {
  {
    absl::MutexLock lock(&mu_);
    const auto known = known_.find(digest);
    if (known != known_.end()) return known->second;
  }
  CAPSTAN_ASSIGN_OR_RETURN(const storage::DefinitionRow row, store_.ReadDefinition(name, digest));
  auto workflow = std::make_shared<v1::Workflow>();
  if (!workflow->ParseFromString(row.body) || workflow::Digest(*workflow) != digest)
    return absl::DataLossError(absl::StrCat("definition ", name, "@", digest, " is damaged"));
  absl::MutexLock lock(&mu_);
  return known_.try_emplace(digest, std::move(workflow)).first->second;
}

}  // namespace capstan::worker
