#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/batch_checker.h"
#include "tests/support/http_server.h"

namespace tidegate::testing {

/// A receiver that keeps what it has acknowledged, and can say afterwards whether that is everything.
class HttpReceiver {
 public:
  /// `faults`: each third request is not answered well, in one way or another.
  /// What holds one of `poison` is refused for good.
  explicit HttpReceiver(bool faults, std::vector<std::string> poison = {})
      : poison_(std::move(poison)),
        server_([this, faults](const HttpRequestSeen& request) { return take(request, faults); }) {}

  ScriptedHttpServer& server() { return server_; }
  /// From here on it refuses nothing.
  void mend() {
    const std::lock_guard lock(mutex_);
    poison_.clear();
  }
  std::size_t taken() const {
    const std::lock_guard lock(mutex_);
    return taken_.size();
  }
  /// Requests go over several connections, so what comes is put in order first.
  DeliveryReport check(const NumberedReadings& expected) const {
    const std::lock_guard lock(mutex_);
    auto sorted = taken_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Taken& a, const Taken& b) {
      return std::tie(a.epoch, a.from) < std::tie(b.epoch, b.from);
    });
    BatchChecker checker(expected);
    for (const Taken& batch : sorted) checker.take(batch.body);
    return checker.report();
  }

 private:
  struct Taken {
    std::uint64_t epoch = 0;
    std::uint64_t from = 0;
    std::string body;
  };

  HttpScriptedReply take(const HttpRequestSeen& request, bool faults) {
    const std::lock_guard lock(mutex_);
    const bool is_refused = std::any_of(poison_.begin(), poison_.end(), [&](const std::string& text) {
      return request.body.find(text) != std::string::npos;
    });
    if (is_refused) return http_reply(422, "not that one");
    const bool is_kept = !faults || ++requests_ % 3 != 0;
    // Of these, some were taken although the sender cannot know.
    if (is_kept || requests_ % 2 == 0) {
      taken_.push_back(
          {std::stoull(request.header("tidegate-epoch")), std::stoull(request.header("tidegate-from")), request.body});
    }
    if (is_kept) return http_reply(200, "ok");
    switch (requests_ / 3 % 4) {
      case 0:
        return http_reply(503, "busy");
      case 1:
        return {"HTTP/1.1 200 OK\r\nContent-Le", HttpScriptedReply::Then::close};
      case 2:
        return {"", HttpScriptedReply::Then::close};
      default:
        return http_reply(500);
    }
  }

  std::vector<std::string> poison_;
  mutable std::mutex mutex_;
  std::vector<Taken> taken_;
  std::uint64_t requests_ = 0;
  ScriptedHttpServer server_;  // last: its threads use the rest
};

}  // namespace tidegate::testing
