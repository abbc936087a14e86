// The two processes inside: the init of the namespaces, which is ours, and the first process, which
// becomes the program of the order.
#pragma once

#include <sys/types.h>

#include <string>

#include "worker/process/supervisor/id_map.h"
#include "worker/process/wire.h"

namespace capstan::process {

// What supervisor and init tell each other, one message each.
inline constexpr char kGo = 'G';         // to init: it is in its cgroup, and its ids are mapped
inline constexpr char kTerminate = 'T';  // to init: SIGTERM to the first process
inline constexpr char kFailed = 'F';  // from init, or from the first process before it became the
                                      // program: not started; the reason follows
inline constexpr char kEnded = 'X';   // from init: the first process ended; its wait status follows
inline constexpr size_t kMaxMessage = 4096;

struct ChildPlan {
  const Order& order;
  const IdMaps& maps;
  bool as_root = false;          // no user namespace: rights are given up by changing the user
  bool limit_processes = false;  // no cgroup does
  std::string secrets_folder;    // without a sandbox
};

// The life of an init. It waits for kGo on `channel`, makes the sandbox, starts the program and
// says when that has ended. Then it waits to be killed: with it goes everything in its namespaces.
[[noreturn]] void RunInit(const ChildPlan& plan, int channel);

}  // namespace capstan::process
