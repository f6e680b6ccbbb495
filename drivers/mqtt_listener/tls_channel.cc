#include "drivers/mqtt_listener/tls_channel.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <utility>

namespace tidegate::drivers {
namespace {

// What OpenSSL complains of, the oldest complaint first; its list is empty then.
std::string complaint() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason is given";
  if (const char* reason = ERR_reason_error_string(code)) return reason;
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

// OpenSSL's own asks at the terminal, and the start waits there.
int no_passphrase(char* /*into*/, int /*size*/, int /*is_writing*/, void* /*user*/) { return 0; }

Result<void> set_up(SSL_CTX* context, const ListenerTls& options) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_security_level(context, 2);
  // A small processor without AES instructions says ChaCha20 first, and is heard.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                   SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);  // an idle connection holds no buffers
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate.c_str()) != 1) {
    return fail(ErrorCode::invalid, "certificate " + options.certificate + ": " + complaint());
  }
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  if (SSL_CTX_use_PrivateKey_file(context, options.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorCode::invalid, "key " + options.key + " of certificate " + options.certificate + ": " +
                                        complaint() +
                                        "; check that the two belong together and that the key has no passphrase");
  }
  if (options.client_ca.empty()) return {};
  if (SSL_CTX_load_verify_locations(context, options.client_ca.c_str(), nullptr) != 1) {
    return fail(ErrorCode::invalid, "client authority " + options.client_ca + ": " + complaint());
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options.client_ca.c_str()));
  return {};
}

}  // namespace

TlsChannel::TlsChannel(ssl_st* ssl) : ssl_(ssl), from_peer_(BIO_new(BIO_s_mem())), to_peer_(BIO_new(BIO_s_mem())) {
  SSL_set_bio(ssl_, from_peer_, to_peer_);
  SSL_set_accept_state(ssl_);
}

TlsChannel::TlsChannel(TlsChannel&& other) noexcept
    : ssl_(std::exchange(other.ssl_, nullptr)), from_peer_(other.from_peer_), to_peer_(other.to_peer_) {}

TlsChannel::~TlsChannel() { SSL_free(ssl_); }

bool TlsChannel::is_ready() const { return SSL_is_init_finished(ssl_) == 1; }

Result<void> TlsChannel::receive(std::string_view input, std::string& plain, std::string& cipher) {
  BIO_write(from_peer_, input.data(), static_cast<int>(input.size()));
  std::array<char, 16 * 1024> buffer;
  ERR_clear_error();
  for (;;) {
    const int count = SSL_read(ssl_, buffer.data(), static_cast<int>(buffer.size()));
    if (count > 0) {
      plain.append(buffer.data(), static_cast<std::size_t>(count));
      continue;
    }
    const int why = SSL_get_error(ssl_, count);
    take_output(cipher);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return {};
    if (why == SSL_ERROR_ZERO_RETURN) return fail(ErrorCode::link_down, "the client closed the TLS connection");
    return fail(ErrorCode::link_down, (is_ready() ? "TLS: " : "TLS handshake: ") + complaint());
  }
}

Result<void> TlsChannel::send(std::string_view plain, std::string& cipher) {
  ERR_clear_error();
  // Into memory: it is written whole, or something is wrong with the connection.
  const int count = plain.empty() ? 1 : SSL_write(ssl_, plain.data(), static_cast<int>(plain.size()));
  take_output(cipher);
  if (count <= 0) return fail(ErrorCode::link_down, "TLS: " + complaint());
  return {};
}

void TlsChannel::close(std::string& cipher) {
  if (is_ready()) SSL_shutdown(ssl_);
  ERR_clear_error();
  take_output(cipher);
}

void TlsChannel::take_output(std::string& cipher) {
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(to_peer_, &data);
  if (bytes > 0) cipher.append(data, static_cast<std::size_t>(bytes));
  BIO_reset(to_peer_);
}

Result<std::unique_ptr<TlsServer>> TlsServer::make(const ListenerTls& options) {
  ERR_clear_error();
  std::unique_ptr<TlsServer> server(new TlsServer(SSL_CTX_new(TLS_server_method())));
  if (server->context_ == nullptr) return fail(ErrorCode::retry, "TLS cannot be set up: " + complaint());
  if (auto done = set_up(server->context_, options); !done) return tl::unexpected(done.error());
  return server;
}

TlsServer::~TlsServer() { SSL_CTX_free(context_); }

Result<TlsChannel> TlsServer::accept() const {
  ssl_st* const ssl = SSL_new(context_);
  if (ssl == nullptr) return fail(ErrorCode::full, "no memory for a TLS connection: " + complaint());
  return TlsChannel(ssl);
}

}  // namespace tidegate::drivers
