#include "tests/e2e/api_client.h"

#include "core/clock.h"
#include "tests/e2e/cluster_under_test.h"
#include "worker/kubernetes/credentials.h"

namespace capstan::testing {

std::unique_ptr<kubernetes::Client> ConnectToCluster(const std::string& token) {
  static auto* const kClock = new SystemClock();
  kubernetes::ClusterConfig config =
      *kubernetes::LoadKubeconfig({Environment("KUBECONFIG")}, /*context=*/"");
  if (!token.empty()) {
    config.client_certificate_file.clear();
    config.client_certificate_data.clear();
    config.client_key_file.clear();
    config.client_key_data.clear();
    config.token = token;
  }
  return *kubernetes::Client::Create(config, *kClock,
                                     {.queries_per_second = 10'000, .burst = 10'000});
}

}  // namespace capstan::testing
