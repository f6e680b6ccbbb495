#include "buffer/age_retention.h"

namespace tidegate::buffer {
namespace {

constexpr Duration kCheckEvery = std::chrono::minutes(1);
constexpr Duration kJump = std::chrono::hours(24);
constexpr Duration kConfirmAfter = std::chrono::minutes(10);
constexpr int kConfirmationsNeeded = 2;
// Between two confirmations the clock may be corrected by this much.
constexpr Duration kAgreement = std::chrono::minutes(1);

}  // namespace

std::optional<WallTime> AgeRetention::limit(const FrameTimes& now) {
  next_check_ = now.boot + kCheckEvery;
  if (!max_age_ || !is_trusted(now)) return std::nullopt;
  return now.wall - *max_age_;
}

bool AgeRetention::jumped(const FrameTimes& now) const {
  if (trusted_) return now.wall - (trusted_->wall + (now.boot - trusted_->boot)) > kJump;
  return newest_ && now.wall - *newest_ > kJump;
}

bool AgeRetention::is_trusted(const FrameTimes& now) {
  if (now.quality != ClockQuality::synced) {
    doubted_.reset();
    return false;
  }
  if (jumped(now)) {
    const Duration off = doubted_ ? now.wall - (doubted_->wall + (now.boot - doubted_->boot)) : Duration::zero();
    if (!doubted_ || off > kAgreement || off < -kAgreement) {
      doubted_ = Seen{now.wall, now.boot};
      confirmations_ = 0;
      return false;
    }
    if (now.boot - doubted_->boot < kConfirmAfter) return false;
    doubted_ = Seen{now.wall, now.boot};
    if (++confirmations_ < kConfirmationsNeeded) return false;
  }
  doubted_.reset();
  trusted_ = Seen{now.wall, now.boot};
  return true;
}

}  // namespace tidegate::buffer
