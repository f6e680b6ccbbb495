#pragma once

#include <cstdint>
#include <string>

namespace tidegate::drivers {

/// A TCP connection to a port of 127.0.0.1 that says whatever a test wants, and waits for nothing.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port);
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
  /// The same, without reading what it has sent.
  bool is_broken() const;

 private:
  int fd_;
  std::string received_;
  bool ended_ = false;
};

}  // namespace tidegate::drivers
