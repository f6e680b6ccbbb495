#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace tidegate::drivers {

/// A TCP connection on 127.0.0.1 that says whatever a test wants, and waits for nothing.
class RawClient {
 public:
  /// To this port.
  explicit RawClient(std::uint16_t port);
  /// One that a RawListener took.
  static std::unique_ptr<RawClient> of(int fd) { return std::unique_ptr<RawClient>(new RawClient(Taken{fd})); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient();

  /// Sends what the socket takes; the number of bytes.
  std::size_t send(const std::string& bytes);
  /// Ends it as a machine does that is switched off and on: by a reset, and what was sent before may still be read.
  void reset();
  /// What has arrived so far, all of it since the beginning.
  const std::string& received();
  /// The other side has ended the connection.
  bool is_ended();
  /// By a reset, not by an orderly end.
  bool is_reset() const { return reset_; }
  /// The other side has ended the connection, without reading what it has sent.
  bool is_broken() const;

 private:
  struct Taken {
    int fd;
  };
  explicit RawClient(Taken taken);

  int fd_;
  std::string received_;
  bool ended_ = false;
  bool reset_ = false;
};

/// Takes TCP connections on a port of 127.0.0.1, and waits for none.
class RawListener {
 public:
  RawListener();
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;
  ~RawListener();

  std::uint16_t port() const { return port_; }
  /// The next connection; null when there is none yet.
  std::unique_ptr<RawClient> accept() const;

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

}  // namespace tidegate::drivers
