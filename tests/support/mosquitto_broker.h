#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace tidegate::testing {

/// A real mosquitto in a process of its own, on a port of 127.0.0.1 that it keeps for its whole life: stopped, killed
/// and started again it is found at the same place, and while it is down connections are refused. It dies with the
/// thread that started it. Its files lie in a temporary directory, which goes with the object.
/// Functions throw std::runtime_error, with the broker's own words, when the broker does not do what it should.
class MosquittoBroker {
 public:
  /// `configuration` is appended behind "listener PORT 127.0.0.1" and "allow_anonymous true"; {dir} in it becomes
  /// directory(). Does not start the broker, so that files it needs can be written first.
  explicit MosquittoBroker(std::string configuration = "");
  MosquittoBroker(const MosquittoBroker&) = delete;
  MosquittoBroker& operator=(const MosquittoBroker&) = delete;
  ~MosquittoBroker();

  /// Returns when the broker takes connections.
  void start();
  /// SIGTERM: the broker saves what it persists. Returns when it is gone.
  void stop() { end(15); }
  /// SIGKILL. Returns when it is gone.
  void kill() { end(9); }
  void restart() {
    stop();
    start();
  }

  bool is_running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  std::uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string uri() const { return "mqtt://" + address(); }
  const std::string& directory() const { return directory_; }
  /// What the broker has logged so far, all starts together; `log_type all` in the configuration makes it talk.
  std::string log() const;
  /// Waits until the log holds `text` that often; false when that takes too long or the broker ends.
  bool wait_for_log(const std::string& text, std::size_t times = 1) const;

  /// Takes effect with the next start.
  void set_configuration(std::string configuration) { configuration_ = std::move(configuration); }

 private:
  void reserve_port();
  void write_configuration() const;
  void spawn();
  void wait_until_ready();
  void end(int signal);
  bool takes_connections() const;

  std::string configuration_;
  std::string directory_;
  std::uint16_t port_ = 0;
  int reservation_ = -1;  // a bound socket that never listens, so that nobody else takes the port meanwhile
  pid_t pid_ = -1;
  int pid_fd_ = -1;  // readable when the process has ended
};

}  // namespace tidegate::testing
