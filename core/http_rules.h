// Which HTTP services workflows may call, and how a call may look. Pure, and strict: a URL is taken
// only in the one form that nobody reads in two ways.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace capstan {

struct HttpHost {
  bool plain = false;  // http, not https
  std::string host;    // in small letters; IPv6 in brackets
  int port = 0;
};

// Of a configuration: "host", "host:port", or "http://host:port" for what may also be called in
// plain text. INVALID_ARGUMENT: none of these.
absl::StatusOr<HttpHost> ParseAllowedHost(std::string_view entry);

// Whom a URL calls. INVALID_ARGUMENT: it is not http:// or https://, names a user, or has anything
// that has to be escaped, a fragment, or a path with "." or "..". Says nothing of what is behind
// the host: that may be secret.
absl::StatusOr<HttpHost> ParseHttpUrl(std::string_view url);

// https where the host and port are named, http only where they are named for plain text.
bool IsAllowed(const HttpHost& host, const std::vector<HttpHost>& allowed);

// "https://host:port".
std::string HttpHostText(const HttpHost& host);

// A token of RFC 9110 that is not the transfer's own business (Host, Content-Length, Connection …).
bool IsHeaderName(std::string_view name);
// No line ends and no other control characters; at most 8 KiB.
bool IsHeaderValue(std::string_view value);

}  // namespace capstan
