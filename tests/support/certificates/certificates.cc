#include "tests/support/certificates/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <functional>
#include <vector>

#include "core/status_macros.h"

namespace capstan::testing {
namespace {

using Extension = std::pair<int, std::string>;

std::string ToPem(const std::function<int(BIO*)>& write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  CAPSTAN_CHECK(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string ToPem(X509* x509) {
  return ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, x509); });
}

std::shared_ptr<EVP_PKEY> NewKey() { return {EVP_EC_gen("P-256"), &EVP_PKEY_free}; }

// Signed by `issuer` with `issuer_key`; without an issuer by itself.
std::shared_ptr<X509> Make(const std::string& name, EVP_PKEY* key, X509* issuer,
                           EVP_PKEY* issuer_key, const std::vector<Extension>& extensions) {
  std::shared_ptr<X509> made(X509_new(), &X509_free);
  X509* x509 = made.get();
  std::uint32_t serial = 0;
  CAPSTAN_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1);
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), serial);
  X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509, X509_get_subject_name(issuer != nullptr ? issuer : x509));
  for (const auto& [id, value] : extensions) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
    CAPSTAN_CHECK(extension != nullptr);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
  }
  CAPSTAN_CHECK(X509_sign(x509, issuer_key, EVP_sha256()) > 0);
  return made;
}

}  // namespace

CertificateAuthority::CertificateAuthority()
    : key_(NewKey()),
      x509_(Make("capstan test authority", key_.get(), nullptr, key_.get(),
                 {{NID_basic_constraints, "critical,CA:TRUE"}})),
      certificate_(ToPem(x509_.get())) {}

CertificateAuthority::~CertificateAuthority() = default;

KeyPair CertificateAuthority::Issue(const std::string& subject_alt_name) const {
  const std::shared_ptr<EVP_PKEY> key = NewKey();
  const std::shared_ptr<X509> x509 = Make("capstan test", key.get(), x509_.get(), key_.get(),
                                          {{NID_subject_alt_name, subject_alt_name}});
  return {.certificate = ToPem(x509.get()),
          .key = ToPem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace capstan::testing
