#pragma once

#include <memory>

#include "core/error.h"
#include "drivers/mqtt_listener/options.h"
#include "mqtt/tls_channel.h"

struct ssl_ctx_st;

namespace tidegate::drivers {

/// What the connections of a listener share: certificate, key, authority. TLS 1.2 is the least, without renegotiation.
class TlsServer {
 public:
  /// An error names the file and says what is wrong with it.
  static Result<std::unique_ptr<TlsServer>> make(const ListenerTls& options);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  Result<mqtt::TlsChannel> accept() const;

 private:
  explicit TlsServer(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace tidegate::drivers
