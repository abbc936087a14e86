// Which step comes before which, as depends_on says. Internal to this folder.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "capstan/v1/workflow.pb.h"

namespace capstan::workflow {

// Of each node those that it names; a name without an entry of its own has no further ones.
using Graph = std::map<std::string, std::vector<std::string>, std::less<>>;

// A way from a node back to itself, "a -> b -> a"; nullopt when there is none.
std::optional<std::string> FindCycle(const Graph& graph);

// Every node that can be reached from `node`, without itself unless it is in a cycle.
std::set<std::string, std::less<>> Reachable(const Graph& graph, const std::string& node);

// The dependencies of all steps.
Graph GraphOf(const v1::Workflow& workflow);

}  // namespace capstan::workflow
