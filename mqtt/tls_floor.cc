#include "mqtt/tls_floor.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "core/log.h"

namespace tidegate::mqtt {
namespace {

constexpr int kSecurityLevel = 2;
// From OpenSSL 3.2 on the function below is called before the connection has its context (ssl_lib.c, ossl_ssl_init).
constexpr unsigned long kCallsTooEarly = 0x30200000;

bool has_revocations(X509_STORE* store) {
  if (store == nullptr || X509_STORE_lock(store) != 1) return false;
  bool found = false;
  const STACK_OF(X509_OBJECT)* const objects = X509_STORE_get0_objects(store);
  for (int i = 0; !found && i < sk_X509_OBJECT_num(objects); ++i) {
    found = X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_CRL;
  }
  X509_STORE_unlock(store);
  return found;
}

// Called at the end of SSL_new(), when all that the library at work has set in its context has been taken over.
void on_new_connection(void* connection, void* /*slot*/, CRYPTO_EX_DATA* /*slots*/, int /*index*/, long /*argument*/,
                       void* /*user*/) {
  auto* const ssl = static_cast<SSL*>(connection);
  if (SSL_get_security_level(ssl) < kSecurityLevel) SSL_set_security_level(ssl, kSecurityLevel);
  if (SSL_get_min_proto_version(ssl) < TLS1_2_VERSION) SSL_set_min_proto_version(ssl, TLS1_2_VERSION);
  if (has_revocations(SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)))) {
    X509_VERIFY_PARAM_set_flags(SSL_get0_param(ssl), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
}

}  // namespace

void raise_tls_floor() {
  static const bool kIsRaised = [] {
    if (OpenSSL_version_num() < kCallsTooEarly) {
      return SSL_get_ex_new_index(0, nullptr, on_new_connection, nullptr, nullptr) >= 0;
    }
    log_warning("tls",
                "{}: connections that libraries make may take weak keys, and no lists of revoked certificates count",
                OpenSSL_version(OPENSSL_VERSION));
    return false;
  }();
  (void)kIsRaised;
}

}  // namespace tidegate::mqtt
