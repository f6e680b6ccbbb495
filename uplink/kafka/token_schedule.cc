#include "uplink/kafka/token_schedule.h"

#include <algorithm>
#include <chrono>

namespace tidegate::uplink {
namespace {

using std::chrono::seconds;

constexpr Duration kPauseFirst = seconds(1);
constexpr Duration kPauseMost = seconds(60);
constexpr Duration kRetryAfterMost = std::chrono::minutes(5);
constexpr Duration kAskAgainAfter = seconds(30);  // where brokers refuse a token that should be good

}  // namespace

TokenSchedule::TokenSchedule(Duration least, std::uint64_t seed)
    : least_(least), random_(seed), pauses_(kPauseFirst, kPauseMost, random_()) {}

void TokenSchedule::on_asked(BootTime now) {
  asked_at_ = now;
  has_token_ = false;
}

void TokenSchedule::on_token(BootTime now, Duration lasts) {
  pauses_.reset();
  has_token_ = true;
  const double part = std::uniform_real_distribution<>(0.7, 0.8)(random_);
  due_ = now + std::max(least_, std::chrono::duration_cast<Duration>(lasts * part));
}

void TokenSchedule::on_failure(BootTime now, Duration retry_after) {
  due_ = now + std::max(pauses_.next(), std::min(retry_after, kRetryAfterMost));
}

// Not dropped when it comes early: the library does not say the same again for half a minute.
bool TokenSchedule::on_refused(BootTime now) {
  const BootTime earliest = std::max(now, asked_at_ + kAskAgainAfter);
  if (!has_token_ || due_ <= earliest) return false;
  due_ = earliest;
  return true;
}

}  // namespace tidegate::uplink
