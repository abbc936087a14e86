// One watch: which events go into it, in which order. Knows nothing of sockets.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "tests/support/kubesim/api_server.h"
#include "tests/support/kubesim/fault.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/selector.h"

namespace capstan::kubesim {

// Used by one thread.
class WatchStream {
 public:
  // The stream, or the reply that refuses it (400 selector, 504 a resourceVersion that is not yet).
  // `replay_stale`: begin with the kept history of the objects, as a cache that fell behind does.
  static std::variant<WatchStream, ApiReply> Open(ObjectStore& store, FaultBoard& faults,
                                                  const ApiCall& call, const ApiRequest& request,
                                                  bool replay_stale);

  // The events since the last call, one JSON object a line; "" when there are none.
  std::string Read();
  // A BOOKMARK line, "" when the client did not ask for them.
  std::string Bookmark() const;
  // The server ends the stream after what Read() gave.
  bool done() const { return done_; }

 private:
  WatchStream(ObjectStore& store, FaultBoard& faults, Selector selector);

  std::string InitialEvents();
  std::string StaleEvents() const;
  std::string EventLine(const Change& change);
  std::string GoneLine(int64_t requested) const;

  ObjectStore* store_;
  FaultBoard* faults_;
  Selector selector_;
  const Resource* resource_ = nullptr;
  std::string namespace_name_;
  std::string user_agent_;
  int64_t revision_ = 0;
  bool bookmarks_ = false;
  bool started_ = false;
  bool from_current_ = false;      // begin with the current objects
  bool announce_initial_ = false;  // sendInitialEvents: a bookmark ends them
  bool replay_stale_ = false;
  bool done_ = false;
};

}  // namespace capstan::kubesim
