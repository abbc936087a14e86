#include "core/http_rules.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan {
namespace {

constexpr std::size_t kMaxUrlBytes = 8 * 1024;
constexpr std::size_t kMaxHostBytes = 253;
constexpr std::size_t kMaxHeaderNameBytes = 128;
constexpr std::size_t kMaxHeaderValueBytes = 8 * 1024;
constexpr int kHttpsPort = 443;
constexpr int kHttpPort = 80;
constexpr std::string_view kHttps = "https://";
constexpr std::string_view kHttp = "http://";
// Headers that say how a message is sent, or to whom.
constexpr std::array<std::string_view, 12> kReserved = {"host",
                                                        "content-length",
                                                        "transfer-encoding",
                                                        "connection",
                                                        "keep-alive",
                                                        "upgrade",
                                                        "te",
                                                        "trailer",
                                                        "proxy-authorization",
                                                        "proxy-authenticate",
                                                        "expect",
                                                        "proxy-connection"};

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool IsDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

// Programs differ in which numbers they read as an address: only four decimal ones are.
bool IsIpv4(const std::vector<std::string>& labels) {
  return labels.size() == 4 &&
         std::all_of(labels.begin(), labels.end(), [](const std::string& label) {
           int number = 0;
           return IsDigits(label) && label.size() <= 3 && (label.size() == 1 || label[0] != '0') &&
                  absl::SimpleAtoi(label, &number) && number <= 255;
         });
}

bool IsLabel(const std::string& label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '_';
         });
}

// In small letters. Without a dot at the end, and nothing of it escaped.
bool IsHost(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostBytes) return false;
  if (host.front() == '[') {
    const std::string_view inside = host.substr(1, host.size() - 2);
    return host.size() > 4 && host.back() == ']' && inside.find(':') != std::string_view::npos &&
           inside.find_first_not_of("0123456789abcdef:.") == std::string_view::npos;
  }
  const std::vector<std::string> labels = absl::StrSplit(AbslView(host), '.');
  const bool is_name = std::all_of(labels.begin(), labels.end(), IsLabel);
  const bool is_number = absl::ascii_isdigit(labels.back()[0]);
  return is_name && (!is_number || IsIpv4(labels));
}

bool ReadPort(std::string_view text, int* port) {
  return IsDigits(text) && text.size() <= 5 && text[0] != '0' &&
         absl::SimpleAtoi(AbslView(text), port) && *port <= 65535;
}

// "host" or "host:port"; 0: no port is named.
bool ReadAuthority(std::string_view text, HttpHost* out) {
  const std::size_t end = text.rfind(']');
  const std::size_t colon = text.find(':', end == std::string_view::npos ? 0 : end);
  out->host = absl::AsciiStrToLower(AbslView(text.substr(0, colon)));
  out->port = 0;
  if (colon != std::string_view::npos && !ReadPort(text.substr(colon + 1), &out->port))
    return false;
  return IsHost(out->host);
}

// A segment that is "." or "..", also escaped: whoever reads the path may leave it out.
bool HasDots(std::string_view path) {
  const std::vector<std::string> segments = absl::StrSplit(AbslView(path), '/');
  return std::any_of(segments.begin(), segments.end(), [](const std::string& segment) {
    const std::string plain = absl::StrReplaceAll(absl::AsciiStrToLower(segment), {{"%2e", "."}});
    return plain == "." || plain == "..";
  });
}

absl::Status Refuse(std::string_view got, std::string_view want) {
  return absl::InvalidArgumentError(Cat("got ", got, ", want ", want));
}

}  // namespace

absl::StatusOr<HttpHost> ParseAllowedHost(std::string_view entry) {
  HttpHost host;
  std::string_view rest = entry;
  host.plain = TakePrefix(rest, kHttp);
  const bool is_authority = ReadAuthority(rest, &host);
  if (!is_authority || (host.plain && host.port == 0)) {
    return Refuse(Cat("\"", entry.substr(0, kMaxHostBytes), "\""),
                  "host, host:port or http://host:port");
  }
  if (host.port == 0) host.port = kHttpsPort;
  return host;
}

absl::StatusOr<HttpHost> ParseHttpUrl(std::string_view url) {
  if (url.size() > kMaxUrlBytes) {
    return Refuse(Cat("a URL of ", url.size(), " bytes"), Cat("at most ", kMaxUrlBytes));
  }
  const bool plain_text = std::all_of(url.begin(), url.end(), [](char c) {
    return absl::ascii_isgraph(c) &&
           std::string_view("\\\"<>^`{|}#").find(c) == std::string_view::npos;
  });
  if (!plain_text) {
    return Refuse("a URL with blanks, control characters, a fragment or others that have no place",
                  "them escaped (%20)");
  }
  HttpHost host;
  std::string_view rest = url;
  host.plain = TakePrefix(rest, kHttp);
  if (!host.plain && !TakePrefix(rest, kHttps)) {
    return Refuse("a URL of another kind", "https:// or http://, in small letters");
  }
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (!ReadAuthority(authority, &host)) {
    return Refuse("a URL with more or less than a host", "https://host/ or https://host:port/");
  }
  rest.remove_prefix(authority.size());
  if (HasDots(rest.substr(0, rest.find('?')))) {
    return Refuse("a path with . or ..", "the path that is meant");
  }
  if (host.port == 0) host.port = host.plain ? kHttpPort : kHttpsPort;
  return host;
}

bool IsAllowed(const HttpHost& host, const std::vector<HttpHost>& allowed) {
  return std::any_of(allowed.begin(), allowed.end(), [&](const HttpHost& one) {
    return one.host == host.host && one.port == host.port && (one.plain || !host.plain);
  });
}

std::string HttpHostText(const HttpHost& host) {
  return Cat(host.plain ? kHttp : kHttps, host.host, ":", host.port);
}

bool IsHeaderName(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  const bool is_token = !name.empty() && name.size() <= kMaxHeaderNameBytes &&
                        std::all_of(name.begin(), name.end(), [&](char c) {
                          return absl::ascii_isalnum(c) || kMarks.find(c) != std::string_view::npos;
                        });
  const std::string lower = absl::AsciiStrToLower(AbslView(name));
  return is_token && std::find(kReserved.begin(), kReserved.end(), lower) == kReserved.end();
}

bool IsHeaderValue(std::string_view value) {
  return value.size() <= kMaxHeaderValueBytes &&
         std::all_of(value.begin(), value.end(),
                     [](char c) { return c == '\t' || !absl::ascii_iscntrl(c); });
}

}  // namespace capstan
