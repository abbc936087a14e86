#include "tests/support/kubesim/fault.h"

#include <array>
#include <string_view>
#include <utility>
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr int kForbidden = 403;
constexpr int kUnprocessable = 422;
constexpr int kTooManyRequests = 429;
constexpr int kConflict = 409;

constexpr std::array<std::pair<std::string_view, FaultKind>, 10> kKindNames = {{
    {"status", FaultKind::kStatus},
    {"reset_before_apply", FaultKind::kResetBeforeApply},
    {"apply_then_cut", FaultKind::kApplyThenCut},
    {"delay", FaultKind::kDelay},
    {"apply_then_delay", FaultKind::kApplyThenDelay},
    {"hang", FaultKind::kHang},
    {"watch_drop", FaultKind::kWatchDrop},
    {"watch_close", FaultKind::kWatchClose},
    {"watch_gone", FaultKind::kWatchGone},
    {"watch_replay_stale", FaultKind::kWatchReplayStale},
}};

bool IsEventFault(FaultKind kind) {
  return kind == FaultKind::kWatchDrop || kind == FaultKind::kWatchClose ||
         kind == FaultKind::kWatchGone;
}

bool Matches(const Fault& fault, const FaultSubject& subject) {
  return (fault.verb.empty() || fault.verb == subject.verb) &&
         (fault.resource.empty() || fault.resource == subject.resource) &&
         (fault.subresource == "*" || fault.subresource == subject.subresource) &&
         std::string_view(subject.name).starts_with(fault.name_prefix) &&
         std::string_view(subject.user_agent).starts_with(fault.user_agent_prefix);
}

Fault CreateJobsStatus(int code, std::string reason, std::string message) {
  Fault fault;
  fault.verb = "create";
  fault.resource = "jobs";
  fault.count = -1;
  fault.code = code;
  fault.reason = std::move(reason);
  fault.message = std::move(message);
  return fault;
}

}  // namespace

Fault Forbidden(std::string verb, std::string resource, std::string user) {
  Fault fault;
  fault.message = Cat(resource, " is forbidden: User \"", user, "\" cannot ", verb, " resource \"",
                      resource, "\"");
  fault.verb = std::move(verb);
  fault.resource = std::move(resource);
  fault.count = -1;
  fault.code = kForbidden;
  fault.reason = "Forbidden";
  return fault;
}

Fault QuotaExceeded(std::string quota_name, int limit) {
  return CreateJobsStatus(kForbidden, "Forbidden",
                          Cat("jobs.batch \"$NAME\" is forbidden: exceeded quota: ", quota_name,
                              ", requested: count/jobs.batch=1, used: ", "count/jobs.batch=", limit,
                              ", limited: count/jobs.batch=", limit));
}

Fault AdmissionPolicyDenied(std::string policy, std::string message) {
  return CreateJobsStatus(
      kUnprocessable, "Invalid",
      Cat("jobs.batch \"$NAME\" is forbidden: ValidatingAdmissionPolicy '", policy,
          "' with binding '", policy, "-binding' denied request: ", message));
}

Fault WebhookDenied(std::string webhook, std::string message) {
  return CreateJobsStatus(kForbidden, "Forbidden",
                          Cat("admission webhook \"", webhook, "\" denied the request: ", message));
}

Fault TooManyRequests(std::string verb, std::string resource, int count) {
  Fault fault;
  fault.verb = std::move(verb);
  fault.resource = std::move(resource);
  fault.subresource = "*";
  fault.count = count;
  fault.code = kTooManyRequests;
  return fault;
}

Fault AlreadyExistsFault(std::string resource) {
  Fault fault;
  fault.verb = "create";
  fault.message = Cat(resource, " \"$NAME\" already exists");
  fault.resource = std::move(resource);
  fault.code = kConflict;
  fault.reason = "AlreadyExists";
  return fault;
}

absl::StatusOr<Fault> FaultFromJson(const Json& json) {
  if (!json.is_object()) return absl::InvalidArgumentError("fault: want a JSON object");
  Fault fault;
  const std::map<std::string, std::string*> texts = {
      {"verb", &fault.verb},
      {"resource", &fault.resource},
      {"subresource", &fault.subresource},
      {"name_prefix", &fault.name_prefix},
      {"user_agent_prefix", &fault.user_agent_prefix},
      {"reason", &fault.reason},
      {"message", &fault.message}};
  const std::map<std::string, int*> numbers = {{"nth", &fault.nth},
                                               {"count", &fault.count},
                                               {"code", &fault.code},
                                               {"retry_after_seconds", &fault.retry_after_seconds}};
  for (const auto& [key, value] : json.items()) {
    if (auto text = texts.find(key); text != texts.end() && value.is_string()) {
      *text->second = value.get<std::string>();
    } else if (auto number = numbers.find(key);
               number != numbers.end() && value.is_number_integer()) {
      *number->second = value.get<int>();
    } else if (key == "kind" && value.is_string()) {
      const auto* known = kKindNames.begin();
      while (known != kKindNames.end() && known->first != value.get<std::string>()) ++known;
      if (known == kKindNames.end()) {
        return absl::InvalidArgumentError(Cat("fault.kind: unknown ", value.dump()));
      }
      fault.kind = known->second;
    } else {
      return absl::InvalidArgumentError(
          Cat("fault.", key, ": unknown field or wrong type: ", value.dump()));
    }
  }
  return fault;
}

Json FaultToJson(const Fault& fault) {
  std::string_view kind;
  for (const auto& [name, value] : kKindNames) {
    if (value == fault.kind) kind = name;
  }
  return {{"verb", fault.verb},
          {"resource", fault.resource},
          {"subresource", fault.subresource},
          {"name_prefix", fault.name_prefix},
          {"user_agent_prefix", fault.user_agent_prefix},
          {"nth", fault.nth},
          {"count", fault.count},
          {"kind", kind},
          {"code", fault.code},
          {"reason", fault.reason},
          {"message", fault.message},
          {"retry_after_seconds", fault.retry_after_seconds}};
}

int FaultBoard::Inject(Fault fault) {
  absl::MutexLock lock(&mu_);
  int id = next_id_++;
  entries_[id].fault = std::move(fault);
  return id;
}

void FaultBoard::Clear() {
  absl::MutexLock lock(&mu_);
  entries_.clear();
}

std::optional<FaultBoard::Hit> FaultBoard::OnCall(const FaultSubject& subject) {
  absl::MutexLock lock(&mu_);
  return Count(subject, /*event=*/false);
}

std::optional<FaultBoard::Hit> FaultBoard::OnWatchEvent(const FaultSubject& subject) {
  absl::MutexLock lock(&mu_);
  return Count(subject, /*event=*/true);
}

std::optional<FaultBoard::Hit> FaultBoard::Count(const FaultSubject& subject, bool event) {
  std::optional<Hit> hit;
  Entry* winner = nullptr;
  for (auto& [id, entry] : entries_) {
    if (IsEventFault(entry.fault.kind) != event || !Matches(entry.fault, subject)) continue;
    ++entry.seen;
    bool due = entry.seen >= entry.fault.nth &&
               (entry.fault.count < 0 || entry.seen < entry.fault.nth + entry.fault.count);
    if (due && !hit.has_value()) {
      hit = Hit{id, entry.fault};
      winner = &entry;
    }
  }
  if (winner != nullptr) ++winner->hits;
  return hit;
}

int FaultBoard::Hits(int id) const {
  absl::MutexLock lock(&mu_);
  auto entry = entries_.find(id);
  return entry == entries_.end() ? 0 : entry->second.hits;
}

std::vector<std::pair<int, Fault>> FaultBoard::List() const {
  absl::MutexLock lock(&mu_);
  std::vector<std::pair<int, Fault>> faults;
  for (const auto& [id, entry] : entries_) faults.emplace_back(id, entry.fault);
  return faults;
}

void FaultBoard::Release(int id) {
  absl::MutexLock lock(&mu_);
  auto entry = entries_.find(id);
  if (entry != entries_.end()) entry->second.released = true;
}

bool FaultBoard::Released(int id) const {
  absl::MutexLock lock(&mu_);
  auto entry = entries_.find(id);
  return entry == entries_.end() || entry->second.released;
}

}  // namespace capstan::kubesim
