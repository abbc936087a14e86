#include "worker/kubernetes/facts.h"

#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/facts_reader.h"

namespace capstan::kubernetes {
namespace {

absl::StatusOr<Json> ReadClusterFact(Client& client, const FactTarget& target,
                                     const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(const ClusterSnapshot snapshot, ReadClusterSnapshot(client, options));
  return ClusterFactFor(snapshot, target);
}

struct Reader {
  std::string_view fact;
  absl::StatusOr<Json> (*read)(Client&, const FactTarget&, const CallOptions&);
};
constexpr Reader kReaders[] = {
    {"deployment", ReadDeploymentFact}, {"workload", ReadWorkloadFact}, {"pod", ReadPodFact},
    {"config_map", ReadConfigMapFact},  {"secret", ReadSecretFact},     {"node", ReadNodeFact},
    {"cluster", ReadClusterFact},
};

}  // namespace

absl::StatusOr<Json> ReadFact(Client& client, std::string_view fact, const FactTarget& target,
                              const CallOptions& options) {
  for (const Reader& reader : kReaders) {
    if (reader.fact == fact) return reader.read(client, target, options);
  }
  return absl::InvalidArgumentError(Cat("fact: got \"", fact, "\", which is not known"));
}

}  // namespace capstan::kubernetes
