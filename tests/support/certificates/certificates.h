// Certificates for tests of TLS: made in memory, good for an hour.
#pragma once

#include <memory>
#include <string>

struct evp_pkey_st;
struct x509_st;

namespace capstan::testing {

// PEM.
struct KeyPair {
  std::string certificate;
  std::string key;
};

// An authority of its own with each object; two of the same name do not trust each other.
class CertificateAuthority {
 public:
  CertificateAuthority();
  ~CertificateAuthority();

  // PEM; what those who trust it are given.
  const std::string& certificate() const { return certificate_; }

  // A certificate for this name, spelt as OpenSSL does: "IP:127.0.0.1", "URI:spiffe://shop/alice".
  KeyPair Issue(const std::string& subject_alt_name) const;

 private:
  std::shared_ptr<evp_pkey_st> key_;
  std::shared_ptr<x509_st> x509_;
  std::string certificate_;
};

}  // namespace capstan::testing
