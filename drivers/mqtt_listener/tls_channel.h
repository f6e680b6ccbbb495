#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "drivers/mqtt_listener/options.h"

struct ssl_ctx_st;
struct ssl_st;
struct bio_st;

namespace tidegate::drivers {

/// One side of a TLS connection without its socket: ciphertext in, plaintext out, and back. Nothing of the peer is
/// believed before the handshake is done, a client certificate among it where one is asked for. Passive; one thread.
class TlsChannel {
 public:
  TlsChannel(TlsChannel&&) noexcept;
  ~TlsChannel();

  /// Takes what the peer has sent; appends what it says to `plain`, and what has to go back to `cipher`. An error means
  /// that the connection is to end, when `cipher` is sent.
  Result<void> receive(std::string_view input, std::string& plain, std::string& cipher);
  /// Appends the ciphertext of `plain`. Only when is_ready().
  Result<void> send(std::string_view plain, std::string& cipher);
  /// Says goodbye.
  void close(std::string& cipher);
  bool is_ready() const;

 private:
  friend class TlsServer;
  explicit TlsChannel(ssl_st* ssl);
  void take_output(std::string& cipher);

  ssl_st* ssl_;
  bio_st* from_peer_;  // owned by ssl_
  bio_st* to_peer_;    // owned by ssl_
};

/// What the connections of a listener share: certificate, key, authority. TLS 1.2 is the least, without renegotiation.
class TlsServer {
 public:
  /// An error names the file and says what is wrong with it.
  static Result<std::unique_ptr<TlsServer>> make(const ListenerTls& options);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  Result<TlsChannel> accept() const;

 private:
  explicit TlsServer(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace tidegate::drivers
