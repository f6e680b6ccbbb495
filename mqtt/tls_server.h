#pragma once

#include <memory>
#include <string>

#include "core/error.h"
#include "mqtt/tls_channel.h"

struct ssl_ctx_st;

namespace tidegate::mqtt {

/// Files in PEM. Without a certificate there is no TLS.
struct ServerTls {
  std::string certificate;  // and its chain
  std::string key;
  std::string client_ca{};  // not empty: a client needs a certificate of this authority
  bool operator==(const ServerTls&) const = default;
};

/// What the connections of a server share: certificate, key, authority. TLS 1.2 is the least, without renegotiation.
class TlsServer {
 public:
  /// An error names the file and says what is wrong with it.
  static Result<std::unique_ptr<TlsServer>> make(const ServerTls& options);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  Result<TlsChannel> accept() const;

 private:
  explicit TlsServer(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace tidegate::mqtt
