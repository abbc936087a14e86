#include "tests/support/kubesim/watch_stream.h"

#include <utility>

#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

std::string Line(const char* type, const Json& object) {
  return Json({{"type", type}, {"object", object}}).dump() + "\n";
}

Json BookmarkObject(const Resource& resource, int64_t revision) {
  return {{"kind", resource.kind},
          {"apiVersion", ApiVersion(resource)},
          {"metadata",
           {{"resourceVersion", std::to_string(revision)}, {"creationTimestamp", nullptr}}}};
}

}  // namespace

WatchStream::WatchStream(ObjectStore& store, FaultBoard& faults, Selector selector)
    : store_(&store), faults_(&faults), selector_(std::move(selector)) {}

std::variant<WatchStream, ApiReply> WatchStream::Open(ObjectStore& store, FaultBoard& faults,
                                                      const ApiCall& call,
                                                      const ApiRequest& request,
                                                      bool replay_stale) {
  absl::StatusOr<Selector> selector =
      Selector::Parse(request.Param("labelSelector"), request.Param("fieldSelector"));
  if (!selector.ok()) return BadRequest(std::string(selector.status().message()));
  WatchStream stream(store, faults, *std::move(selector));
  stream.resource_ = call.resource;
  stream.namespace_name_ = call.key.namespace_name;
  stream.user_agent_ = request.user_agent;
  stream.bookmarks_ = request.Flag("allowWatchBookmarks");
  stream.replay_stale_ = replay_stale;
  const std::string version = request.Param("resourceVersion");
  if (request.Flag("sendInitialEvents")) {
    if (request.Param("resourceVersionMatch") != "NotOlderThan") {
      return StatusReply(
          422, "Invalid",
          "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
          "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    stream.from_current_ = true;
    stream.announce_initial_ = true;
    return stream;
  }
  if (version.empty() || version == "0") {
    stream.from_current_ = true;
    return stream;
  }
  if (version.find_first_not_of("0123456789") != std::string::npos) {
    return BadRequest(Cat("invalid resource version \"", version, "\""));
  }
  stream.revision_ = std::strtoll(version.c_str(), nullptr, 10);
  stream.done_ = store.Expired(stream.revision_);  // Read() says so
  if (int64_t current = store.Revision(); stream.revision_ > current) {
    return StatusReply(
        504, "Timeout", Cat("Too large resource version: ", version, ", current: ", current),
        {{"causes",
          {{{"reason", "ResourceVersionTooLarge"}, {"message", "Too large resource version"}}}},
         {"retryAfterSeconds", 1}});
  }
  return stream;
}

std::string WatchStream::GoneLine(int64_t requested) const {
  return Line("ERROR", StatusBody(410, "Expired",
                                  Cat("too old resource version: ", requested, " (",
                                      store_->Revision(), ")"),
                                  nullptr));
}

std::string WatchStream::StaleEvents() const {
  std::string lines;
  for (const Change& change : store_->History(*resource_, namespace_name_)) {
    if (change.revision > revision_ && !from_current_) break;
    if (!selector_.Matches(*change.object)) continue;
    const char* type = change.type == Change::Type::kAdded     ? "ADDED"
                       : change.type == Change::Type::kDeleted ? "DELETED"
                                                               : "MODIFIED";
    lines += Line(type, *change.object);
  }
  return lines;
}

std::string WatchStream::InitialEvents() {
  ObjectStore::Snapshot snapshot = store_->List(*resource_, namespace_name_);
  revision_ = snapshot.revision;
  std::string lines;
  for (const Object& object : snapshot.objects) {
    if (selector_.Matches(*object)) lines += Line("ADDED", *object);
  }
  if (announce_initial_ && bookmarks_) {
    Json bookmark = BookmarkObject(*resource_, revision_);
    bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"] = "true";
    lines += Line("BOOKMARK", bookmark);
  }
  return lines;
}

std::string WatchStream::EventLine(const Change& change) {
  bool now = change.type != Change::Type::kDeleted && selector_.Matches(*change.object);
  bool before = change.previous != nullptr && selector_.Matches(*change.previous);
  if (!now && !before) return "";
  const char* type = !now ? "DELETED" : !before ? "ADDED" : "MODIFIED";
  std::optional<FaultBoard::Hit> hit = faults_->OnWatchEvent(
      {"watch", std::string(resource_->plural), "", change.key.name, user_agent_});
  if (!hit.has_value()) return Line(type, *change.object);
  if (hit->fault.kind == FaultKind::kWatchDrop) return "";
  done_ = true;
  return hit->fault.kind == FaultKind::kWatchGone ? GoneLine(change.revision - 1) : "";
}

std::string WatchStream::Read() {
  std::string lines;
  if (!std::exchange(started_, true)) {
    if (done_) return GoneLine(revision_);
    if (replay_stale_) lines += StaleEvents();
    if (from_current_) lines += InitialEvents();
  }
  if (done_) return lines;
  ObjectStore::Changes changes = store_->Since(revision_, *resource_, namespace_name_);
  if (changes.expired) {
    done_ = true;
    return lines + GoneLine(revision_);
  }
  for (const Change& change : changes.changes) {
    lines += EventLine(change);
    if (done_) return lines;
  }
  revision_ = changes.revision;
  return lines;
}

std::string WatchStream::Bookmark() const {
  return bookmarks_ && !done_ ? Line("BOOKMARK", BookmarkObject(*resource_, revision_)) : "";
}

}  // namespace capstan::kubesim
