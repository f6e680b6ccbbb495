#include "buffer/fill_watch.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace tidegate::buffer {
namespace {

constexpr std::array kLevels{50, 80, 95};
constexpr double kHysteresisPercent = 5;
// The rate is a mean over about this long: longer than bursts and checkpoints, shorter than an outage.
constexpr double kRateSeconds = 60;
constexpr Duration kMinute = std::chrono::minutes(1);
constexpr Duration kSampleAtLeast = std::chrono::milliseconds(500);
constexpr double kSecondsMax = 10.0 * 365 * 24 * 3600;

}  // namespace

void FillWatch::smooth(BootTime now, std::uint64_t unpassed_bytes) {
  if (!first_at_) {
    first_at_ = now;
  } else {
    if (now - seen_at_ < kSampleAtLeast) return;
    const double seconds = std::chrono::duration<double>(now - seen_at_).count();
    const double grown = static_cast<double>(unpassed_bytes) - static_cast<double>(fill_.unpassed_bytes);
    // At first the mean of what there is.
    const double all = std::chrono::duration<double>(now - *first_at_).count();
    const double weight = std::max(seconds / all, 1 - std::exp(-seconds / kRateSeconds));
    rate_ = rate_.value_or(0) + weight * (grown / seconds - rate_.value_or(0));
  }
  seen_at_ = now;
  fill_.unpassed_bytes = unpassed_bytes;
}

// Once it fills it does so until half of that is gone: a series that comes and goes has no alert.
void FillWatch::judge(BootTime now, std::uint64_t unpassed_bytes) {
  if (!minute_) minute_ = Minute{now, unpassed_bytes, unpassed_bytes, unpassed_bytes, false};
  minute_->least = std::min(minute_->least, unpassed_bytes);
  minute_->most = std::max(minute_->most, unpassed_bytes);
  minute_->has_fallen = minute_->has_fallen || unpassed_bytes < newest_;
  newest_ = unpassed_bytes;
  most_ = std::max(most_, unpassed_bytes);
  if (filling_ && unpassed_bytes < most_ / 2) filling_ = false;
  if (now - minute_->began < kMinute) return;
  const bool nothing_leaves = !minute_->has_fallen && unpassed_bytes > minute_->first;
  // More than what is on its way swings by.
  const bool has_settled = minute_->least > minute_->most / 2;
  const bool grows = has_settled && least_before_ &&
                     minute_->least > *least_before_ + std::max(fill_.capacity_bytes / 1000, *least_before_ / 20);
  if (!filling_ && (nothing_leaves || grows)) {
    filling_ = true;
    most_ = unpassed_bytes;
  }
  least_before_ = minute_->least;
  minute_ = Minute{now, unpassed_bytes, unpassed_bytes, unpassed_bytes, false};
}

std::optional<FillWatch::Change> FillWatch::update(const StreamFill& fill, BootTime now) {
  smooth(now, fill.unpassed_bytes);
  fill_.capacity_bytes = fill.capacity_bytes;
  judge(now, fill.unpassed_bytes);
  const double percent = 100 * fill.ratio();
  const int before = level_;
  while (level_ < static_cast<int>(kLevels.size()) && percent >= kLevels[static_cast<std::size_t>(level_)]) ++level_;
  if (level_ > before) return Change{kLevels[static_cast<std::size_t>(level_ - 1)], true};
  while (level_ > 0 && percent < kLevels[static_cast<std::size_t>(level_ - 1)] - kHysteresisPercent) --level_;
  if (level_ < before) return Change{kLevels[static_cast<std::size_t>(level_)], false};
  return std::nullopt;
}

std::optional<Duration> FillWatch::time_left() const {
  if (!first_at_) return std::nullopt;
  if (fill_.unpassed_bytes >= fill_.capacity_bytes) return Duration::zero();
  if (!rate_ || *rate_ <= 0 || !(filling_ || level_ > 0)) return std::nullopt;
  const double seconds = static_cast<double>(fill_.capacity_bytes - fill_.unpassed_bytes) / *rate_;
  if (seconds > kSecondsMax) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace tidegate::buffer
