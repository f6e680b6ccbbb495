#pragma once

#include <string>
#include <string_view>

#include "core/error.h"

struct ssl_st;
struct bio_st;

namespace tidegate::mqtt {

/// One side of a TLS connection without its socket: ciphertext in, plaintext out, and back. Nothing of the peer is
/// believed before the handshake is done, and its certificate with that where one is asked for. Passive; one thread.
class TlsChannel {
 public:
  /// Takes over `ssl`, which knows what it is to accept; may be called with null, which is `full`.
  static Result<TlsChannel> accept(ssl_st* ssl);
  static Result<TlsChannel> connect(ssl_st* ssl);
  TlsChannel(TlsChannel&&) noexcept;
  ~TlsChannel();

  /// Takes what the peer has sent; appends what it says to `plain`, and what has to go back to `cipher`. An error means
  /// that the connection is to end, when `cipher` is sent. With nothing to take, a client begins the handshake.
  Result<void> receive(std::string_view input, std::string& plain, std::string& cipher);
  /// Appends the ciphertext of `plain`. Only when is_ready().
  Result<void> send(std::string_view plain, std::string& cipher);
  /// Says goodbye.
  void close(std::string& cipher);
  bool is_ready() const;
  /// The peer has said goodbye, in order: that is what receive() has failed with.
  bool has_ended() const { return has_ended_; }

 private:
  explicit TlsChannel(ssl_st* ssl);
  void take_output(std::string& cipher);
  std::string explain_failure() const;
  bool lacks_certificate(unsigned long code) const;

  ssl_st* ssl_;
  bio_st* from_peer_;  // owned by ssl_
  bio_st* to_peer_;    // owned by ssl_
  bool has_ended_ = false;
};

/// What OpenSSL complains of, the oldest complaint first; its list is empty then.
std::string tls_complaint();

/// Instead of OpenSSL's own question at the terminal, which the start would wait for.
int no_passphrase(char* into, int size, int is_writing, void* user);

}  // namespace tidegate::mqtt
