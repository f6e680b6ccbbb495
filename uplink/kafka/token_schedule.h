#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "core/backoff.h"
#include "core/time.h"

namespace tidegate::uplink {

/// When to ask for the next token. Passive; not for several threads at a time.
class TokenSchedule {
 public:
  /// As often as that after one that was given, however short it lasts: a request, a login and perhaps a handshake
  /// each.
  static constexpr Duration kLeast = std::chrono::seconds(10);

  TokenSchedule(Duration least, std::uint64_t seed);

  void on_asked(BootTime now);
  /// A part of its life before its end, and not the same one for a whole fleet.
  void on_token(BootTime now, Duration lasts);
  /// `retry_after` is what the endpoint said, zero when nothing.
  void on_failure(BootTime now, Duration retry_after);
  /// The brokers have refused a login: the token may be worth nothing any more. Where none was had that is known, and
  /// when to ask again. True: it is due earlier than before.
  bool on_refused(BootTime now);
  void wait(BootTime now, Duration pause) { due_ = now + pause; }

  BootTime due() const { return due_; }
  /// Whether such a token will run out before there is another.
  bool is_too_short(Duration lasts) const { return lasts <= least_; }

 private:
  const Duration least_;
  std::mt19937_64 random_;
  Backoff pauses_;
  BootTime asked_at_{};
  BootTime due_{};
  bool has_token_ = false;  // of the last request
};

}  // namespace tidegate::uplink
