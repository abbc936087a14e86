#include "cli/policy_replay.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/text_format.h"
#include "core/status_macros.h"

namespace capstan::cli {
namespace {

using Document = nlohmann::json;
using Handler = Document::error_handler_t;

absl::StatusOr<Document> ParseObject(const std::string& text, const std::string& what) {
  Document value = Document::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object())
    return absl::InvalidArgumentError(absl::StrCat(what, ": got something that is no JSON object"));
  return value;
}

Document Field(const Document& object, const char* key, Document fallback) {
  const auto found = object.find(key);
  return found != object.end() && found->type() == fallback.type() ? *found : std::move(fallback);
}

bool Allows(const Document& result) { return Field(result, "allow", false).get<bool>(); }
bool AsksApproval(const Document& result) {
  return Field(result, "requires_approval", false).get<bool>();
}
std::string TextField(const Document& object, const char* key) {
  return Field(object, key, "").get<std::string>();
}

std::set<std::string> ViolationIds(const Document& result) {
  std::set<std::string> ids;
  for (const Document& violation : Field(result, "violations", Document::array()))
    ids.insert(TextField(violation, "id"));
  return ids;
}

// One line that says why, for a person.
std::string Summary(const Document& result) {
  std::vector<std::string> parts;
  for (const Document& violation : Field(result, "violations", Document::array())) {
    parts.push_back(
        absl::StrCat(TextField(violation, "id"), ": ", TextField(violation, "message")));
  }
  if (parts.empty() && AsksApproval(result)) {
    for (const Document& obligation : Field(result, "obligations", Document::array()))
      parts.push_back(obligation.dump(-1, ' ', false, Handler::replace));
    if (parts.empty()) parts.emplace_back("an approval");
  }
  return OneLine(absl::StrJoin(parts, "; "));
}

std::string Verdict(const Document& result) {
  if (!Allows(result)) return "deny";
  return AsksApproval(result) ? "allow with an approval" : "allow";
}

std::string Lines(const std::string& title, const std::string& digest, const Document& result) {
  std::string text = absl::StrCat(title, ": ", Verdict(result), "  (rules ",
                                  digest.empty() ? "none" : OneLine(digest), ")\n");
  if (const std::string why = Summary(result); !why.empty())
    absl::StrAppend(&text, "  ", why, "\n");
  for (const Document& warning : Field(result, "warnings", Document::array())) {
    if (warning.is_string())
      absl::StrAppend(&text, "  warning: ", OneLine(warning.get<std::string>()), "\n");
  }
  return text;
}

std::string Pretty(const Document& value) {
  return absl::StrCat(value.dump(2, ' ', false, Handler::replace), "\n");
}

}  // namespace

absl::StatusOr<Replayed> ParseReplayed(const std::string& line) {
  CAPSTAN_ASSIGN_OR_RETURN(Document answer, ParseObject(line, "the answer to a stored input"));
  Replayed replayed{TextField(answer, "bundle_digest"),
                    Field(answer, "result", Document::object())};
  if (replayed.result.empty())
    return absl::InvalidArgumentError("the answer to a stored input: has no result");
  return replayed;
}

std::string FlipKey(Flip flip) {
  switch (flip) {
    case Flip::kNone:
      return "none";
    case Flip::kAllowToDeny:
      return "allow_to_deny";
    case Flip::kDenyToAllow:
      return "deny_to_allow";
    case Flip::kApprovalAdded:
      return "approval_added";
    case Flip::kApprovalRemoved:
      return "approval_removed";
    case Flip::kApprovalChanged:
      return "approval_changed";
    case Flip::kViolationsChanged:
      return "violations_changed";
  }
  return "unknown";
}

std::string FlipText(Flip flip) {
  switch (flip) {
    case Flip::kAllowToDeny:
      return "allow -> deny";
    case Flip::kDenyToAllow:
      return "deny -> allow";
    default:
      std::string text = FlipKey(flip);
      std::replace(text.begin(), text.end(), '_', ' ');
      return text;
  }
}

Flip Compare(const Document& stored, const Document& replayed) {
  if (Allows(stored) != Allows(replayed))
    return Allows(stored) ? Flip::kAllowToDeny : Flip::kDenyToAllow;
  if (!Allows(stored)) {
    return ViolationIds(stored) == ViolationIds(replayed) ? Flip::kNone : Flip::kViolationsChanged;
  }
  if (AsksApproval(stored) != AsksApproval(replayed))
    return AsksApproval(stored) ? Flip::kApprovalRemoved : Flip::kApprovalAdded;
  return Field(stored, "obligations", Document::array()) ==
                 Field(replayed, "obligations", Document::array())
             ? Flip::kNone
             : Flip::kApprovalChanged;
}

absl::Status ReplayReport::Add(const v1::StoredPolicyDecision& stored, const Replayed& replayed) {
  CAPSTAN_ASSIGN_OR_RETURN(
      Document result,
      ParseObject(stored.result_json(), absl::StrCat(stored.execution(), " decision ",
                                                     stored.number(), ": result_json")));
  bundle_digest_ = replayed.bundle_digest;
  ++decisions_;
  const Flip flip = Compare(result, replayed.result);
  if (flip == Flip::kNone) return absl::OkStatus();
  const Document input = Document::parse(stored.input_json(), nullptr, /*allow_exceptions=*/false);
  flips_.push_back({stored.execution(), stored.number(), Time(stored.time()),
                    TextField(input.is_object() ? input : Document::object(), "action"), flip,
                    std::move(result), replayed.result});
  return absl::OkStatus();
}

std::size_t ReplayReport::Count(Flip flip) const {
  return static_cast<std::size_t>(std::count_if(flips_.begin(), flips_.end(),
                                                [&](const Row& row) { return row.flip == flip; }));
}

std::string ReplayReport::Text() const {
  std::string text;
  if (!clean()) {
    std::vector<std::vector<std::string>> table = {
        {"EXECUTION", "NUMBER", "TIME", "ACTION", "FLIP", "STORED", "REPLAYED"}};
    for (const Row& row : flips_) {
      table.push_back({row.execution, absl::StrCat(row.number), row.time, OneLine(row.action),
                       FlipText(row.flip), Summary(row.stored), Summary(row.replayed)});
      for (std::string& cell : table.back())
        if (cell.empty()) cell.push_back('-');
    }
    text = absl::StrCat(Table(table), "\n");
  }
  std::vector<std::string> counts;
  for (const Flip flip : kFlips) {
    if (const std::size_t count = Count(flip); count > 0)
      counts.push_back(absl::StrCat(count, " ", FlipText(flip)));
  }
  absl::StrAppend(&text, decisions_, decisions_ == 1 ? " decision" : " decisions", " replayed, ",
                  flips_.size(), flips_.size() == 1 ? " flips" : " flip");
  if (!counts.empty()) absl::StrAppend(&text, ": ", absl::StrJoin(counts, ", "));
  return absl::StrCat(text, "\n");
}

std::string ReplayReport::Json() const {
  Document counts = Document::object(), flips = Document::array();
  for (const Flip flip : kFlips) counts[FlipKey(flip)] = Count(flip);
  for (const Row& row : flips_) {
    flips.push_back({{"execution", row.execution},
                     {"number", row.number},
                     {"time", row.time},
                     {"action", row.action},
                     {"flip", FlipKey(row.flip)},
                     {"stored", row.stored},
                     {"replayed", row.replayed}});
  }
  return Pretty({{"bundle_digest", bundle_digest_},
                 {"decisions", decisions_},
                 {"counts", std::move(counts)},
                 {"flips", std::move(flips)}});
}

absl::StatusOr<Explanation> Explain(const v1::StoredPolicyDecision& stored,
                                    const Replayed& replayed) {
  CAPSTAN_ASSIGN_OR_RETURN(const Document result, ParseObject(stored.result_json(), "result_json"));
  Explanation out;
  out.same_rules = stored.bundle_digest() == replayed.bundle_digest;
  out.same_result = result == replayed.result;
  const std::string flip = FlipText(Compare(result, replayed.result));
  out.text =
      absl::StrCat(stored.execution(), " decision ", stored.number(), " at ", Time(stored.time()),
                   "\n", Lines("stored", stored.bundle_digest(), result),
                   Lines("replayed", replayed.bundle_digest, replayed.result),
                   "rules: ", out.same_rules ? "the same" : "others", "\nresult: ",
                   out.same_result  ? "the same"
                   : flip == "none" ? "the same verdict in other words"
                                    : flip,
                   "\n");
  out.json = Pretty(
      {{"execution", stored.execution()},
       {"number", stored.number()},
       {"time", Time(stored.time())},
       {"same_rules", out.same_rules},
       {"same_result", out.same_result},
       {"flip", FlipKey(Compare(result, replayed.result))},
       {"stored", {{"bundle_digest", stored.bundle_digest()}, {"result", result}}},
       {"replayed", {{"bundle_digest", replayed.bundle_digest}, {"result", replayed.result}}}});
  return out;
}

}  // namespace capstan::cli
