#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "tests/support/network.h"

namespace tidegate::testing {

/// A broker whose topics have a max.message.bytes, which the mock cluster of librdkafka does not know: a proxy at a
/// port of 127.0.0.1 before a broker there. It answers a request to produce that is larger than `most` by itself, with
/// MESSAGE_TOO_LARGE. Speaks the produce requests of versions 5 to 7, as librdkafka 2.0 does; others end the
/// connection. Throws std::runtime_error.
class KafkaSizeLimit {
 public:
  KafkaSizeLimit(std::uint16_t broker, std::size_t most);
  ~KafkaSizeLimit();
  KafkaSizeLimit(const KafkaSizeLimit&) = delete;
  KafkaSizeLimit& operator=(const KafkaSizeLimit&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// As somebody does who raises the limit of a topic.
  void raise(std::size_t most) { most_ = most; }
  int refused() const { return refused_; }

 private:
  struct Link {
    int client = -1;
    int broker = -1;
    std::mutex writing{};  // to the client: answers are whole
    std::thread requests{};
    std::thread answers{};
  };

  void accept_all();
  void pass_requests(Link& link);
  void pass_answers(Link& link) const;

  const std::uint16_t broker_;
  const std::uint16_t port_;
  const int listener_;
  const ByteRewrite advertise_;
  std::atomic<std::size_t> most_;
  std::atomic<int> refused_ = 0;
  std::list<Link> links_;  // of the thread that accepts, until it has ended
  std::thread accepting_;  // last: it uses the rest
};

}  // namespace tidegate::testing
