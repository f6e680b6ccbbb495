#include "mqtt/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>

#include "mqtt/tls_files.h"
#include "mqtt/tls_floor.h"

namespace tidegate::mqtt {
namespace {

constexpr std::array<unsigned char, 8> kSessionContext{'t', 'i', 'd', 'e', 'g', 'a', 't', 'e'};

Result<void> set_up(SSL_CTX* context, const ServerTls& options) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_security_level(context, 2);
  // A small processor without AES instructions says ChaCha20 first, and is heard.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                   SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);  // an idle connection holds no buffers
  // Every client shows its certificate anew: who goes on with a session is not looked up in the lists of revoked ones.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  // Without it a client with a certificate that offers a session of whatever server is refused instead of asked anew.
  SSL_CTX_set_session_id_context(context, kSessionContext.data(), kSessionContext.size());
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate.c_str()) != 1) {
    return fail(ErrorCode::invalid, "certificate " + options.certificate + ": " + tls_complaint());
  }
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  if (SSL_CTX_use_PrivateKey_file(context, options.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorCode::invalid, "key " + options.key + " of certificate " + options.certificate + ": " +
                                        tls_complaint() +
                                        "; check that the two belong together and that the key has no passphrase");
  }
  if (options.client_ca.empty()) return {};
  if (!load_authorities(context, options.client_ca)) {
    return fail(ErrorCode::invalid, "client authority " + options.client_ca + ": " + tls_complaint());
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options.client_ca.c_str()));
  return {};
}

}  // namespace

Result<std::unique_ptr<TlsServer>> TlsServer::make(const ServerTls& options) {
  if (auto regular = check_regular({options.certificate, options.key, options.client_ca}); !regular) {
    return tl::unexpected(regular.error());
  }
  raise_tls_floor();
  ERR_clear_error();
  std::unique_ptr<TlsServer> server(new TlsServer(SSL_CTX_new(TLS_server_method())));
  if (server->context_ == nullptr) return fail(ErrorCode::retry, "TLS cannot be set up: " + tls_complaint());
  if (auto done = set_up(server->context_, options); !done) return tl::unexpected(done.error());
  return server;
}

TlsServer::~TlsServer() { SSL_CTX_free(context_); }

Result<TlsChannel> TlsServer::accept() const { return TlsChannel::accept(SSL_new(context_)); }

}  // namespace tidegate::mqtt
