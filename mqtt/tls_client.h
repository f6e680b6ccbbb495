#pragma once

#include <memory>
#include <string>

#include "mqtt/broker_options.h"
#include "mqtt/tls_channel.h"

struct ssl_ctx_st;
struct x509_st;

namespace tidegate::mqtt {

/// How a client trusts and shows who it is: TLS 1.2 is the least, without renegotiation; the broker's certificate has
/// to come from the authorities and to bear the host's name or address, unless verification is switched off.
class TlsClient {
 public:
  /// An error names the file and says what is wrong with it.
  static Result<std::unique_ptr<TlsClient>> make(const TlsOptions& options);
  /// One that takes the first certificate of the file and no other, whoever has signed it, and whatever name and dates
  /// it bears: for who has it from its owner. Any thread that `make` may be called on.
  static Result<std::unique_ptr<TlsClient>> make_for(const std::string& certificate_file);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  /// A channel to `host`, a name or an address.
  Result<TlsChannel> connect(const std::string& host) const;

 private:
  TlsClient(ssl_ctx_st* context, bool checks_name) : context_(context), checks_name_(checks_name) {}
  ssl_ctx_st* context_;
  x509_st* expected_ = nullptr;
  bool checks_name_;
};

}  // namespace tidegate::mqtt
