#include "core/workflow/step_graph.h"

#include <algorithm>

#include "absl/strings/str_join.h"

namespace capstan::workflow {
namespace {

// Depth first; `way` are the nodes that led here, `done` those that lead into no cycle.
bool LeadsIntoCycle(const Graph& graph, const std::string& node, std::vector<std::string>& way,
                    std::set<std::string>& done) {
  const auto begun = std::find(way.begin(), way.end(), node);
  if (begun != way.end()) {
    way.erase(way.begin(), begun);
    way.push_back(node);
    return true;
  }
  way.push_back(node);
  const auto entry = graph.find(node);
  if (entry != graph.end() && done.count(node) == 0) {
    for (const std::string& next : entry->second) {
      if (LeadsIntoCycle(graph, next, way, done)) return true;
    }
  }
  done.insert(node);
  way.pop_back();
  return false;
}

}  // namespace

std::optional<std::string> FindCycle(const Graph& graph) {
  std::set<std::string> done;
  for (const auto& [node, next] : graph) {
    std::vector<std::string> way;
    if (LeadsIntoCycle(graph, node, way, done)) return absl::StrJoin(way, " -> ");
  }
  return std::nullopt;
}

std::set<std::string, std::less<>> Reachable(const Graph& graph, const std::string& node) {
  std::set<std::string, std::less<>> reached;
  std::vector<std::string> open = {node};
  while (!open.empty()) {
    const auto entry = graph.find(open.back());
    open.pop_back();
    if (entry == graph.end()) continue;
    for (const std::string& next : entry->second) {
      if (reached.insert(next).second) open.push_back(next);
    }
  }
  return reached;
}

Graph GraphOf(const v1::Workflow& workflow) {
  Graph graph;
  for (const v1::WorkflowStep& step : workflow.steps()) {
    std::vector<std::string>& names = graph[step.name()];
    names.insert(names.end(), step.depends_on().begin(), step.depends_on().end());
  }
  return graph;
}

}  // namespace capstan::workflow
