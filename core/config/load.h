// Fills a configuration message from, in this order, later wins: the defaults written in its proto,
// a YAML file, the environment, flags. Strict: a key nobody knows, a value of the wrong type or a
// key written twice is an error that names the place ("worker.yaml:12: lease.ttl: got "15", want a
// duration such as "15s"").
//
// A setting is named by its path, "lease.ttl": the same in the file, as flag --lease.ttl=15s and,
// in capitals, as variable CAPSTAN_LEASE_TTL. In variables and flags lists are written "a,b" and
// maps "key=value,key=value"; they replace the whole list or map. A variable that names no setting
// is ignored, since clusters and other programs set variables with the same prefix.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace capstan::config {

// Reads one environment variable; nullopt when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

struct Sources {
  // YAML file; empty: none.
  std::string file = {};
  // Null: no environment. A variable that is empty counts as not set.
  Environment environment = nullptr;
  // {"lease.ttl", "15s"}, from flags; later ones win.
  std::vector<std::pair<std::string, std::string>> flags = {};
};

// Replaces what `config` holds. INVALID_ARGUMENT: a value or key is wrong; NOT_FOUND: the file
// cannot be read. Either way print the message and refuse to start.
absl::Status Load(const Sources& sources, google::protobuf::Message& config);

// One setting of a configuration message.
struct Setting {
  std::string path;           // "lease.ttl"
  std::string variable;       // "CAPSTAN_LEASE_TTL"
  std::string type;           // for people: "a duration"
  std::string default_value;  // as in a variable; empty: none
  bool secret = false;
};

// Every setting of `message`, in the order of the proto.
std::vector<Setting> Settings(const google::protobuf::Descriptor& message);

// `config` as YAML that Load reads back. Secrets that are set read "(set)".
std::string Print(const google::protobuf::Message& config);

}  // namespace capstan::config
