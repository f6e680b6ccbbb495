#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "tests/support/network.h"

namespace tidegate::testing {

/// What is wrong with the network between a client and a server; nothing when nothing is set.
struct NetworkFault {
  /// Half open: both sides hear no more of each other, not even an end. Connections that have lost bytes stay so.
  bool swallows = false;
  /// All connections that are there, and those that come, are reset after some kilobytes at the most.
  bool resets = false;
  std::chrono::milliseconds delay{};
  std::uint64_t bytes_per_second = 0;  // each way of each connection; 0: no limit
  /// For so long every connection is reset, for so long all is well, and so on.
  std::chrono::milliseconds flap_period{};
};

/// A TCP proxy at a port of 127.0.0.1 before a server there. Its server may be down: then connections are closed. One
/// thread of its own does the work; throws std::runtime_error.
class FaultProxy {
 public:
  explicit FaultProxy(std::uint16_t target);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  /// From now on.
  void set(const NetworkFault& fault);
  /// What is to be changed in what the server says.
  void rewrite_answers(ByteRewrite rewrite);

  std::uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  struct Counts {
    std::uint64_t connections = 0;
    std::uint64_t resets = 0;
    std::uint64_t swallowed_bytes = 0;
    std::uint64_t passed_bytes = 0;
  };
  Counts counts() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Piece {
    Clock::time_point due;
    std::string bytes;
  };
  struct Way {
    int from = -1;
    int to = -1;
    std::deque<Piece> pieces;
    std::size_t queued = 0;
    bool has_ended = false;
    double allowance = 0;
    Clock::time_point refilled;
  };
  struct Link {
    Way request;
    Way answer;
    bool is_dead = false;  // bytes of it were swallowed
    bool is_over = false;  // to be closed
    std::uint64_t resets_after = 0;
  };

  void run();
  void wait();
  void accept_new();
  void serve(Link& link, Clock::time_point now);
  void receive(Link& link, Way& way, Clock::time_point now);
  void send_due(Link& link, Way& way, Clock::time_point now);
  std::size_t allowed(Way& way, std::size_t wanted, Clock::time_point now) const;
  bool is_down(Clock::time_point now) const;
  void reset(Link& link);
  void close(const Link& link);

  const std::uint16_t port_;
  const std::uint16_t target_;
  const int listener_;
  const int wake_;

  mutable std::mutex mutex_;
  ByteRewrite rewrite_;
  NetworkFault wanted_;
  Clock::time_point wanted_since_;
  bool is_stopping_ = false;
  Counts counts_;

  // The thread's.
  NetworkFault fault_;
  Clock::time_point fault_since_;
  std::list<Link> links_;
  std::mt19937 random_{1};
  std::thread thread_;  // last: it uses the rest
};

}  // namespace tidegate::testing
