#include "core/workflow/outcome.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/strip.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "core/workflow/json_text.h"
#include "core/workflow/schema.h"

namespace capstan::workflow {
namespace {

using nlohmann::json;

constexpr JsonLimits kAnswerLimits = {.bytes = kMaxAnswerBytes, .depth = kMaxAnswerDepth};
constexpr std::size_t kMaxReasonBytes = 16 * 1024;
constexpr std::size_t kMaxShown = 200;

struct StatusWord {
  std::string_view word;
  Answer::Status status;
};

constexpr StatusWord kStatusWords[] = {
    {"complete", Answer::Status::kComplete},
    {"pass", Answer::Status::kComplete},
    {"continue", Answer::Status::kContinue},
    {"blocked", Answer::Status::kBlocked},
    {"needs_user_input", Answer::Status::kBlocked},
    {"needs_attention", Answer::Status::kBlocked},
    {"fail", Answer::Status::kFailed},
};

absl::Status Want(std::string_view field, std::string_view got, std::string_view want) {
  return absl::InvalidArgumentError(
      Cat(field, ": got ", got.substr(0, kMaxShown), ", want ", want));
}

// The text at a key; empty when there is none.
std::string TextAt(const json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool IsBlank(const std::string& text) { return absl::StripAsciiWhitespace(text).empty(); }

absl::StatusOr<Answer::Status> ReadStatus(const json& document) {
  const std::string word = TextAt(document, "status");
  const auto known = std::find_if(std::begin(kStatusWords), std::end(kStatusWords),
                                  [&](const StatusWord& entry) { return entry.word == word; });
  if (known != std::end(kStatusWords)) return known->status;
  return Want("status", Cat("\"", word, "\""),
              "complete, continue, blocked, pass, fail, needs_user_input or needs_attention");
}

absl::StatusOr<bool> ReadNeedsChanges(const json& document) {
  const auto found = document.find("needs_changes");
  if (found == document.end()) return false;
  if (found->is_boolean()) return found->get<bool>();
  return Want("needs_changes", "something else", "true or false");
}

// A line for a finding: a text, or an object as the schemas of reviews have it.
std::string FindingLine(const json& finding) {
  if (finding.is_string()) return finding.get<std::string>();
  const std::string file = TextAt(finding, "file");
  const auto line = finding.is_object() ? finding.find("line") : finding.end();
  std::string place = file;
  if (!file.empty() && finding.is_object() && line != finding.end() && line->is_number_integer()) {
    place = Cat(file, ":", line->get<std::int64_t>());
  }
  std::string text;
  for (const std::string& part : {TextAt(finding, "severity"), place,
                                  TextAt(finding, "description"), TextAt(finding, "suggestion")}) {
    if (!part.empty()) Append(&text, text.empty() ? "" : ": ", part);
  }
  return text;
}

// What earlier work has to do better: the summary, and a line for each finding.
std::string FindingsOf(const json& document) {
  std::string text = TextAt(document, "summary");
  for (const char* list : {"issues", "remaining_issues"}) {
    const auto found = document.find(list);
    if (found == document.end() || !found->is_array()) continue;
    for (const json& finding : *found) {
      const std::string line = FindingLine(finding);
      if (!line.empty() && text.size() < kMaxReasonBytes) {
        Append(&text, text.empty() ? "- " : "\n- ", line);
      }
    }
  }
  return text.empty() ? TextAt(document, "recommendation") : text;
}

bool IsPassed(const json& object) {
  const std::string status = TextAt(object, "status");
  return status == "pass" || status == "passed";
}

// Something that was done and shown: it passed, and says how that can be seen.
absl::Status CheckShown(const json& object, const std::string& field) {
  if (!object.is_object()) return Want(field, "none", "an object with status and evidence");
  if (!IsPassed(object)) {
    return Want(field + ".status", Cat("\"", TextAt(object, "status"), "\""),
                "pass, or another status of the answer");
  }
  if (IsBlank(TextAt(object, "evidence"))) {
    return Want(field + ".evidence", "nothing", "what was run and what it printed");
  }
  return absl::OkStatus();
}

absl::Status CheckCriteria(const json& document, const std::vector<std::string>& criteria) {
  const json list = document.value("success_criteria", json());
  if (!list.is_array()) return Want("success_criteria", "none", "a list with an entry for each");
  std::set<std::string> open(criteria.begin(), criteria.end());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string field = Cat("success_criteria[", i, "]");
    const std::string id = TextAt(list[i], "id");
    if (open.erase(id) == 0) {
      return Want(field + ".id", Cat("\"", id, "\""), "each criterion of the task once");
    }
    CAPSTAN_RETURN_IF_ERROR(CheckShown(list[i], field));
  }
  if (open.empty()) return absl::OkStatus();
  return Want("success_criteria", "no entry for it",
              Cat("one with the id \"", *open.begin(), "\""));
}

absl::Status CheckEvidence(const json& document, const std::vector<std::string>& criteria) {
  const json tests = document.value("tests", json());
  CAPSTAN_RETURN_IF_ERROR(CheckShown(tests, "tests"));
  if (IsBlank(TextAt(tests, "command"))) return Want("tests.command", "nothing", "what was run");
  for (const char* field : {"build", "linting"}) {
    const std::string status = TextAt(document.value(field, json()), "status");
    if (status == "fail" || status == "failed") {
      return Want(Cat(field, ".status"), Cat("\"", status, "\""), "another status of the answer");
    }
  }
  return CheckCriteria(document, criteria);
}

// What says complete may not say the opposite beside it.
absl::Status CheckAgrees(const json& document) {
  const json run = document.value("tests_run", json());
  const json failed = run.is_object() ? run.value("failed", json()) : json();
  if (failed.is_number() && failed > 0) {
    return Want("tests_run.failed", failed.dump(), "0, or another status of the answer");
  }
  if (document.value("gaps_addressed", json(true)) == false) {
    return Want("gaps_addressed", "false", "true, or another status of the answer");
  }
  return absl::OkStatus();
}

absl::Status CheckComplete(const json& document, const v1::WorkflowStep& step,
                           const std::vector<std::string>& criteria) {
  if (!step.artifact().empty() && IsBlank(TextAt(document, "artifact"))) {
    return Want("artifact", "nothing", Cat("the text of the ", step.artifact()));
  }
  CAPSTAN_RETURN_IF_ERROR(CheckAgrees(document));
  if (!step.llm().evidence_required()) return absl::OkStatus();
  return CheckEvidence(document, criteria);
}

std::string ReasonOf(const json& document, Answer::Status status) {
  std::string reason = TextAt(document, "reason");
  if (status == Answer::Status::kFailed && !FindingsOf(document).empty()) {
    Append(&reason, reason.empty() ? "" : "\n", FindingsOf(document));
  }
  if (reason.empty()) reason = TextAt(document, "summary");
  if (reason.empty()) reason = TextAt(document, "recommendation");
  if (reason.size() <= kMaxReasonBytes) return reason;
  std::size_t end = kMaxReasonBytes;
  while ((static_cast<unsigned char>(reason[end]) & 0xC0) == 0x80) --end;  // not within a character
  return reason.substr(0, end);
}

}  // namespace

absl::StatusOr<Answer> ReadAnswer(std::string_view text, const v1::WorkflowStep& step,
                                  const std::vector<std::string>& criteria) {
  Answer answer;
  CAPSTAN_ASSIGN_OR_RETURN(answer.document, ParseOnlyObject(text, kAnswerLimits));
  CAPSTAN_ASSIGN_OR_RETURN(const json schema, ParseSchema(step.llm().schema()));
  CAPSTAN_RETURN_IF_ERROR(FitsSchema(answer.document, schema));
  CAPSTAN_ASSIGN_OR_RETURN(answer.status, ReadStatus(answer.document));
  CAPSTAN_ASSIGN_OR_RETURN(const bool needs_changes, ReadNeedsChanges(answer.document));
  if (answer.status == Answer::Status::kComplete && needs_changes) {
    answer.status = Answer::Status::kFailed;
  }
  if (answer.status == Answer::Status::kComplete) {
    CAPSTAN_RETURN_IF_ERROR(CheckComplete(answer.document, step, criteria));
  }
  answer.reason = ReasonOf(answer.document, answer.status);
  answer.summary = TextAt(answer.document, "summary");
  answer.artifact = TextAt(answer.document, "artifact");
  return answer;
}

}  // namespace capstan::workflow
