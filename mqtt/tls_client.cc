#include "mqtt/tls_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/host_lookup.h"
#include "mqtt/tls_files.h"
#include "mqtt/tls_floor.h"

namespace tidegate::mqtt {
namespace {

Result<void> set_up(SSL_CTX* context, const TlsOptions& options) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_security_level(context, 2);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  const bool has_authorities = options.ca_file.empty() ? SSL_CTX_set_default_verify_paths(context) == 1
                                                       : load_authorities(context, options.ca_file);
  if (!has_authorities) {
    return fail(ErrorCode::invalid, "authorities " +
                                        (options.ca_file.empty() ? std::string("of the system") : options.ca_file) +
                                        ": " + tls_complaint());
  }
  if (options.cert_file.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context, options.cert_file.c_str()) != 1) {
    return fail(ErrorCode::invalid, "certificate " + options.cert_file + ": " + tls_complaint());
  }
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorCode::invalid, "key " + options.key_file + " of certificate " + options.cert_file + ": " +
                                        tls_complaint() +
                                        "; check that the two belong together and that the key has no passphrase");
  }
  return {};
}

// The name that the certificate has to bear; an address is one of its own kind there, and never goes out as a name.
bool set_host(SSL* ssl, const std::string& host, bool checks_name) {
  const bool is_digits = is_address(host);
  if (!is_digits && SSL_set_tlsext_host_name(ssl, host.c_str()) != 1) return false;
  if (!checks_name) return true;
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_digits) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  return SSL_set1_host(ssl, host.c_str()) == 1;
}

// Instead of OpenSSL's own look at the chain.
int is_expected(X509_STORE_CTX* shown, void* expected) {
  const X509* const certificate = X509_STORE_CTX_get0_cert(shown);
  const bool is_right = certificate != nullptr && X509_cmp(certificate, static_cast<X509*>(expected)) == 0;
  X509_STORE_CTX_set_error(shown, is_right ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
  return is_right ? 1 : 0;
}

}  // namespace

Result<std::unique_ptr<TlsClient>> TlsClient::make(const TlsOptions& options) {
  if (auto regular = check_regular({options.ca_file, options.cert_file, options.key_file}); !regular) {
    return tl::unexpected(regular.error());
  }
  raise_tls_floor();
  ERR_clear_error();
  std::unique_ptr<TlsClient> client(new TlsClient(SSL_CTX_new(TLS_client_method()), options.verify));
  if (client->context_ == nullptr) return fail(ErrorCode::retry, "TLS cannot be set up: " + tls_complaint());
  if (auto done = set_up(client->context_, options); !done) return tl::unexpected(done.error());
  return client;
}

Result<std::unique_ptr<TlsClient>> TlsClient::make_for(const std::string& certificate_file) {
  if (auto regular = check_regular({certificate_file}); !regular) return tl::unexpected(regular.error());
  auto made = make(TlsOptions{});
  if (!made) return made;
  TlsClient& client = **made;
  client.checks_name_ = false;
  BIO* const input = BIO_new_file(certificate_file.c_str(), "r");
  client.expected_ = input == nullptr ? nullptr : PEM_read_bio_X509(input, nullptr, no_passphrase, nullptr);
  BIO_free(input);
  if (client.expected_ == nullptr) {
    return fail(ErrorCode::invalid, "certificate " + certificate_file + ": " + tls_complaint());
  }
  SSL_CTX_set_cert_verify_callback(client.context_, is_expected, client.expected_);
  return made;
}

TlsClient::~TlsClient() {
  SSL_CTX_free(context_);
  X509_free(expected_);
}

Result<TlsChannel> TlsClient::connect(const std::string& host) const {
  ERR_clear_error();
  SSL* const ssl = SSL_new(context_);
  if (ssl == nullptr || set_host(ssl, host, checks_name_)) return TlsChannel::connect(ssl);
  SSL_free(ssl);
  return fail(ErrorCode::invalid, "\"" + host + "\" cannot be the name of a TLS host: " + tls_complaint());
}

}  // namespace tidegate::mqtt
