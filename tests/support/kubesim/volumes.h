// Secrets and ConfigMaps as files of containers.
#pragma once

#include <map>
#include <string>

#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {

// The first Secret or ConfigMap among the pod's volumes that does not exist, in the kubelet's
// words;
// "" when all are there.
std::string MissingVolume(const ObjectStore& store, const Json& pod);

// Path -> bytes of every file that the container mounts from its pod's Secrets and ConfigMaps, as
// they are now.
std::map<std::string, std::string> MountedFiles(const ObjectStore& store, const Json& pod,
                                                const Json& container);

}  // namespace capstan::kubesim
