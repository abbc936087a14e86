#include "core/redact.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

namespace capstan {
namespace {

constexpr std::size_t kShortestSecret = 6;

const RE2& Credentials() {
  static const RE2* const pattern =
      new RE2(R"((?s)\bsk-[A-Za-z0-9_-]{16,})"
              R"(|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)"
              R"(|\bgh[pousr]_[A-Za-z0-9]{20,})"
              R"(|\bgithub_pat_[A-Za-z0-9_]{20,})"
              R"(|\bglpat-[A-Za-z0-9_-]{16,})"
              R"(|\bxox[abprs]-[A-Za-z0-9-]{10,})"
              R"(|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"
              R"(|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$))");
  return *pattern;
}

}  // namespace

Redactor::Redactor(std::vector<std::string> secrets) : secrets_(std::move(secrets)) {
  std::erase_if(secrets_, [](const std::string& one) { return one.size() < kShortestSecret; });
  std::sort(secrets_.begin(), secrets_.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

std::size_t Redactor::Whole(std::string_view text) {
  const std::size_t begin = text.rfind("-----BEGIN ");
  if (begin == std::string_view::npos) return text.size();
  const std::string_view rest = text.substr(begin);
  const bool key = rest.find("PRIVATE KEY-----") != std::string_view::npos ||
                   rest.find('\n') == std::string_view::npos;
  return key && rest.find("-----END ") == std::string_view::npos ? begin : text.size();
}

std::string Redactor::Redact(std::string_view text) const {
  std::string out(text);
  for (const std::string& secret : secrets_) {
    for (std::size_t at = out.find(secret); at != std::string::npos;
         at = out.find(secret, at + kRedacted.size())) {
      out.replace(at, secret.size(), kRedacted);
    }
  }
  RE2::GlobalReplace(&out, Credentials(), re2::StringPiece(kRedacted.data(), kRedacted.size()));
  return out;
}

}  // namespace capstan
