#include "core/workflow/problems.h"
#include "core/workflow/step_graph.h"

namespace capstan::workflow {
namespace {

using Names = std::set<std::string, std::less<>>;

void CheckNames(const v1::Workflow& workflow, Problems& problems) {
  Names names;
  Names artifacts;
  for (int i = 0; i < workflow.steps_size(); ++i) {
    const v1::WorkflowStep& step = workflow.steps(i);
    const std::string path = ItemPath("steps", i);
    problems.Expect(names.insert(step.name()).second, path + ".name", step.name(),
                    "a name that no other step has");
    problems.Expect(step.artifact().empty() || artifacts.insert(step.artifact()).second,
                    path + ".artifact", step.artifact(), "an artifact that no other step writes");
  }
}

void CheckDependencies(const v1::WorkflowStep& step, const Graph& graph, const std::string& path,
                       Problems& problems) {
  Names seen;
  for (int i = 0; i < step.depends_on_size(); ++i) {
    const std::string& name = step.depends_on(i);
    const std::string at = ItemPath(path + ".depends_on", i);
    problems.Expect(graph.count(name) != 0, at, name, "the name of a step");
    problems.Expect(seen.insert(name).second, at, name, "each step once");
  }
}

// A step to go back to: itself, or one that it depends on.
void CheckWayBack(const std::string& from, const std::string& to, const Graph& graph,
                  const std::string& path, Problems& problems) {
  if (graph.count(to) == 0) return problems.Expect(false, path, to, "the name of a step");
  problems.Expect(to == from || Reachable(graph, from).count(to) != 0, path, to,
                  Cat("\"", from, "\" itself or a step that it depends on"));
}

}  // namespace

void CheckGraph(const v1::Workflow& workflow, Problems& problems) {
  CheckNames(workflow, problems);
  const Graph graph = GraphOf(workflow);
  if (const std::optional<std::string> cycle = FindCycle(graph)) {
    const std::string first = cycle->substr(0, cycle->find(' '));
    int index = 0;
    while (workflow.steps(index).name() != first) ++index;
    problems.Add(ItemPath("steps", index) + ".depends_on",
                 Cat("got the cycle ", *cycle, ", want none"));
  }
  for (int i = 0; i < workflow.steps_size(); ++i) {
    const v1::WorkflowStep& step = workflow.steps(i);
    const std::string path = ItemPath("steps", i);
    CheckDependencies(step, graph, path, problems);
    if (!step.retry_from().empty()) {
      CheckWayBack(step.name(), step.retry_from(), graph, path + ".retry_from", problems);
    }
    if (step.has_loop()) {
      CheckWayBack(step.name(), step.loop().to_step(), graph, path + ".loop.to_step", problems);
    }
  }
}

}  // namespace capstan::workflow
