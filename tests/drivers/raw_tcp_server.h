#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/descriptor.h"
#include "drivers/modbus/interrupt.h"

namespace tidegate::drivers {

/// Takes Modbus TCP requests of 12 bytes and answers with whatever it is told to, byte by byte if need be.
class RawTcpServer {
 public:
  using Bytes = std::vector<std::uint8_t>;
  struct Reply {
    std::vector<Bytes> chunks;  // each goes out by itself
    bool close = false;         // the connection afterwards
    Duration pause{};           // in front of each chunk
  };
  using Handler = std::function<Reply(const Bytes& request)>;

  explicit RawTcpServer(Handler handler);
  ~RawTcpServer();

  std::uint16_t port() const { return port_; }
  void answer_with(Handler handler);
  int connections() const;
  int closed_connections() const;
  int reset_connections() const;  // of those, by the client

 private:
  void run();
  void serve(int fd);

  Descriptor listener_;
  std::uint16_t port_ = 0;
  Interrupt interrupt_;
  mutable std::mutex mutex_;
  Handler handler_;
  int connections_ = 0;
  int closed_connections_ = 0;
  int reset_connections_ = 0;
  std::thread thread_;
};

}  // namespace tidegate::drivers
