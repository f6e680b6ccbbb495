#include "mqtt/tls_channel.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <utility>

namespace tidegate::mqtt {

std::string tls_complaint() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason is given";
  if (const char* reason = ERR_reason_error_string(code)) return reason;
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

int no_passphrase(char* /*into*/, int /*size*/, int /*is_writing*/, void* /*user*/) { return 0; }

namespace {

// The first bytes are none of TLS.
bool is_other_language(unsigned long code) {
  const int reason = ERR_GET_REASON(code);
  return ERR_GET_LIB(code) == ERR_LIB_SSL && (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
                                              reason == SSL_R_PACKET_LENGTH_TOO_LONG);
}

}  // namespace

TlsChannel::TlsChannel(ssl_st* ssl) : ssl_(ssl), from_peer_(BIO_new(BIO_s_mem())), to_peer_(BIO_new(BIO_s_mem())) {
  SSL_set_bio(ssl_, from_peer_, to_peer_);
}

Result<TlsChannel> TlsChannel::accept(ssl_st* ssl) {
  if (ssl == nullptr) return fail(ErrorCode::full, "no memory for a TLS connection: " + tls_complaint());
  SSL_set_accept_state(ssl);
  return TlsChannel(ssl);
}

Result<TlsChannel> TlsChannel::connect(ssl_st* ssl) {
  if (ssl == nullptr) return fail(ErrorCode::full, "no memory for a TLS connection: " + tls_complaint());
  SSL_set_connect_state(ssl);
  return TlsChannel(ssl);
}

TlsChannel::TlsChannel(TlsChannel&& other) noexcept
    : ssl_(std::exchange(other.ssl_, nullptr)),
      from_peer_(other.from_peer_),
      to_peer_(other.to_peer_),
      has_ended_(other.has_ended_) {}

TlsChannel::~TlsChannel() { SSL_free(ssl_); }

bool TlsChannel::is_ready() const { return SSL_is_init_finished(ssl_) == 1; }

Result<void> TlsChannel::receive(std::string_view input, std::string& plain, std::string& cipher) {
  if (!input.empty()) BIO_write(from_peer_, input.data(), static_cast<int>(input.size()));
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
    has_ended_ = why == SSL_ERROR_ZERO_RETURN;
    if (has_ended_) return fail(ErrorCode::link_down, "the peer closed the TLS connection");
    return fail(ErrorCode::link_down, (is_ready() ? "TLS: " : "TLS handshake: ") + explain_failure());
  }
}

// In TLS 1.2 a server that wants a certificate and gets none says "handshake failure", as it does for much else.
bool TlsChannel::lacks_certificate(unsigned long code) const {
  const unsigned char* kinds = nullptr;
  return ERR_GET_REASON(code) == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE && SSL_is_server(ssl_) == 0 &&
         SSL_get0_certificate_types(ssl_, &kinds) > 0 && SSL_get_certificate(ssl_) == nullptr;
}

// A certificate that is not accepted, or an alert of the peer, in words that say so.
std::string TlsChannel::explain_failure() const {
  const unsigned long code = ERR_peek_error();
  const bool is_alert = ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET;
  std::string complaint = tls_complaint();
  const bool is_verifying = SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE;
  if (const long verified = SSL_get_verify_result(ssl_); is_verifying && verified != X509_V_OK && !is_alert) {
    complaint += std::string(": ") + X509_verify_cert_error_string(verified);
  }
  if (lacks_certificate(code)) complaint += ": it has asked for a certificate";
  if (SSL_is_server(ssl_) == 1 && is_other_language(code)) {
    complaint += ", which mostly means that the client speaks no TLS: it has to, or to use a port without";
  }
  return complaint;
}

Result<void> TlsChannel::send(std::string_view plain, std::string& cipher) {
  ERR_clear_error();
  // Into memory: it is written whole, or something is wrong with the connection.
  const int count = plain.empty() ? 1 : SSL_write(ssl_, plain.data(), static_cast<int>(plain.size()));
  take_output(cipher);
  if (count <= 0) return fail(ErrorCode::link_down, "TLS: " + tls_complaint());
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

}  // namespace tidegate::mqtt
