#include "mqtt/tls_client.h"

#include <openssl/err.h>
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
bool set_host(SSL* ssl, const std::string& host, bool verify) {
  const bool is_digits = is_address(host);
  if (!is_digits && SSL_set_tlsext_host_name(ssl, host.c_str()) != 1) return false;
  if (!verify) return true;
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_digits) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  return SSL_set1_host(ssl, host.c_str()) == 1;
}

}  // namespace

Result<std::unique_ptr<TlsClient>> TlsClient::make(const TlsOptions& options) {
  raise_tls_floor();
  ERR_clear_error();
  std::unique_ptr<TlsClient> client(new TlsClient(SSL_CTX_new(TLS_client_method()), options.verify));
  if (client->context_ == nullptr) return fail(ErrorCode::retry, "TLS cannot be set up: " + tls_complaint());
  if (auto done = set_up(client->context_, options); !done) return tl::unexpected(done.error());
  return client;
}

TlsClient::~TlsClient() { SSL_CTX_free(context_); }

Result<TlsChannel> TlsClient::connect(const std::string& host) const {
  ERR_clear_error();
  SSL* const ssl = SSL_new(context_);
  if (ssl == nullptr || set_host(ssl, host, verify_)) return TlsChannel::connect(ssl);
  SSL_free(ssl);
  return fail(ErrorCode::invalid, "\"" + host + "\" cannot be the name of a TLS host: " + tls_complaint());
}

}  // namespace tidegate::mqtt
