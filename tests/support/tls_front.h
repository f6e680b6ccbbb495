#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/network.h"

struct ssl_ctx_st;
struct ssl_st;

namespace tidegate::testing {

/// Takes TLS connections at a port of 127.0.0.1 and passes what they bear on to a server without TLS. Presents any
/// certificate, also one that no client may take: keys and signatures may be weak. Throws std::runtime_error.
class TlsFront {
 public:
  struct Options {
    std::string chain;
    std::string key;
    std::uint16_t target = 0;
    bool is_asked_first = false;  // for TLS, in the clear, as PostgreSQL's clients do
  };

  explicit TlsFront(const Options& options);
  ~TlsFront();
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  std::uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::uint64_t connections() const { return connections_; }
  /// Those of whom the client has taken the certificate.
  std::uint64_t handshakes() const { return handshakes_; }
  /// What clients have said within TLS.
  std::uint64_t application_bytes() const { return application_bytes_; }
  /// What is to be changed in what the server says.
  void rewrite_answers(ByteRewrite rewrite);

 private:
  void accept_all();
  void serve(int client);
  void pass_on(ssl_st* tls, int client);
  bool pass_request(ssl_st* tls, int target);
  bool pass_answer(ssl_st* tls, int target);
  bool add_socket(int socket);
  void close_socket(int socket);

  bool is_asked(int client) const;

  const std::uint16_t target_;
  const bool is_asked_first_;
  const std::uint16_t port_;
  ssl_ctx_st* context_;
  int listener_;
  std::atomic<std::uint64_t> connections_ = 0;
  std::atomic<std::uint64_t> handshakes_ = 0;
  std::atomic<std::uint64_t> application_bytes_ = 0;
  std::mutex mutex_;
  ByteRewrite rewrite_;
  bool is_stopping_ = false;
  std::vector<int> sockets_;
  std::list<std::thread> threads_;
  std::thread acceptor_;  // last: it uses the rest
};

}  // namespace tidegate::testing
