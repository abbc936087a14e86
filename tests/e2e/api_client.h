// The API of the cluster under test for tests that ask it more than kubectl is quick enough for.
#pragma once

#include <memory>
#include <string>

#include "worker/kubernetes/client.h"

namespace capstan::testing {

// With `token`, or as the cluster's administrator without one.
std::unique_ptr<kubernetes::Client> ConnectToCluster(const std::string& token = "");

}  // namespace capstan::testing
