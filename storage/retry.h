// How a flush is carried through: sent again until its outcome is known, taken apart when one of
// its items is bad.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "storage/connection.h"

namespace capstan::storage {

// Least wait before a flush is sent again: after a deadlock the other transaction is let through.
inline constexpr absl::Duration kRetryPause = absl::Milliseconds(2);

inline bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status);
}

// What FlushUntilKnown needs to know of an item.
template <class Item>
struct FlushSteps {
  // Sends all of `items` in one transaction and answers them when it is known that they are stored
  // (or what else became of them). `again`: an earlier try may have been committed. Not OK: nothing
  // was answered.
  std::function<absl::Status(std::span<Item*> items, bool again)> send;
  // Answers one item with an error.
  std::function<void(Item& item, const absl::Status& error)> fail;
  // When the item is given up, on the boot clock.
  std::function<absl::Duration(const Item& item)> deadline;
  // The owner is stopping: give up at the first failure.
  std::function<bool()> stopping;
};

// Answers every item of `items` exactly once. Transient failures send the whole flush again, after
// the connection's own pause; other failures split it until the item at fault stands alone and is
// answered with the error.
template <class Item>
void FlushUntilKnown(std::vector<Item*> items, Connection& connection, Clock& clock,
                     const FlushSteps<Item>& steps) {
  std::vector<std::pair<std::vector<Item*>, bool>>
      work;  // a stack of parts, and whether they were tried before
  work.emplace_back(std::move(items), false);
  while (!work.empty()) {
    auto [part, again] = std::move(work.back());
    work.pop_back();
    if (part.empty()) continue;
    const absl::Status status = steps.send(std::span<Item*>(part), again);
    if (status.ok()) continue;
    if (!IsTransient(status)) {
      if (part.size() == 1 ||
          absl::IsFailedPrecondition(status)) {  // the latter is not about the items
        for (Item* item : part) steps.fail(*item, status);
        continue;
      }
      const auto middle = part.begin() + static_cast<std::ptrdiff_t>(part.size() / 2);
      work.emplace_back(std::vector<Item*>(middle, part.end()), again);
      work.emplace_back(std::vector<Item*>(part.begin(), middle), again);
      continue;
    }
    if (connection.observer().retry)
      connection.observer().retry(connection.purpose(), status.code());
    const absl::Duration now = clock.BootTime();
    const bool stopping = steps.stopping();
    std::vector<Item*> rest;
    for (Item* item : part) {
      if (stopping || steps.deadline(*item) <= now) {
        steps.fail(*item, status);
      } else {
        rest.push_back(item);
      }
    }
    clock.SleepFor(std::max(connection.retry_in(), kRetryPause), std::stop_token());
    work.emplace_back(std::move(rest), again || absl::IsUnavailable(status));
  }
}

}  // namespace capstan::storage
