// What is wrong with a definition, by field. Internal to this folder.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "capstan/v1/workflow.pb.h"
#include "core/text.h"

namespace capstan::workflow {

struct Problem {
  std::string path;  // "steps[2].retry_from"
  std::string text;  // "got …, want …"
};

class Problems {
 public:
  void Add(std::string path, std::string text) {
    list_.push_back({std::move(path), std::move(text)});
  }

  // Unless `ok`: "got "<got>", want <want>".
  void Expect(bool ok, const std::string& path, std::string_view got, std::string_view want) {
    if (!ok) Add(path, Cat("got \"", got.substr(0, kMaxShown), "\", want ", want));
  }

  // A number that 0 stands for a default of.
  void ExpectWithin(std::int64_t number, std::int64_t most, const std::string& path) {
    if (number < 0 || number > most) Add(path, Cat("got ", number, ", want 0 to ", most));
  }

  const std::vector<Problem>& list() const { return list_; }

 private:
  static constexpr std::size_t kMaxShown = 200;

  std::vector<Problem> list_;
};

// "steps[2]".
inline std::string ItemPath(std::string_view list, int index) { return Cat(list, "[", index, "]"); }

// Whether there is too much of it for the other checks to be worth their time.
void CheckSizes(const v1::Workflow& workflow, Problems& problems);

// Each field for itself: names, limits, what fits together within a step.
void CheckFields(const v1::Workflow& workflow, Problems& problems);

// HTTP calls, variables that are fetched, and triggers, each for itself.
void CheckHttpCall(const v1::HttpStep& http, const std::string& path, Problems& problems);
void CheckFetched(const v1::WorkflowVariable& variable, const std::string& path,
                  Problems& problems);
void CheckTriggers(const v1::Workflow& workflow, Problems& problems);
void CheckCommand(const v1::CommandStep& command, const std::string& path, Problems& problems);

// A condition and all in it.
void CheckCondition(const v1::StepCondition& condition, const std::string& path,
                    Problems& problems);

// Between steps: names twice, steps that are not there, cycles, ways back that are none.
void CheckGraph(const v1::Workflow& workflow, Problems& problems);

// Variables, and what templates and conditions refer to.
void CheckReferences(const v1::Workflow& workflow, Problems& problems);

// ---- for all of them

inline constexpr int kMaxArguments = 64;
inline constexpr int kMaxListed = 64;  // checks, groups, tools, codes
inline constexpr std::size_t kMaxArgument = 64 * 1024;
inline constexpr std::size_t kMaxNameBytes = 128;

void CheckDuration(const google::protobuf::Duration& duration, const std::string& path,
                   Problems& problems);
void CheckSize(std::string_view text, std::size_t most, const std::string& path,
               Problems& problems);
void CheckCount(int count, int least, int most, const std::string& path, Problems& problems);
// A regular expression.
void CheckPattern(const std::string& pattern, const std::string& path, Problems& problems);

}  // namespace capstan::workflow
