#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "buffer/columns.h"
#include "buffer/dense_codec.h"

namespace tidegate::buffer {

// What the two directions of the dense codec share: how the next number is guessed from those before.

inline constexpr std::uint64_t kMillisecond = 1'000'000;
inline constexpr std::uint64_t kBootUnit = 10 * kMillisecond;

template <class Time>
std::uint64_t bits_of(Time time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

/// What the wall clock is ahead of the boot clock.
inline std::uint64_t wall_offset(const Moment& moment) {
  return bits_of(moment.times.wall) - bits_of(moment.times.boot);
}

/// Integers, decimals and floats that are decimals: numbers that are stored as differences.
inline bool is_integer(std::uint8_t kind) { return kind == kInt64 || kind == kUint64 || kind >= kDoubleScaled; }
inline bool is_kind(std::uint64_t kind) {
  return kind <= kText || (kind >= kDoubleScaled && kind <= kDoubleScaled + kScaleMax) ||
         (kind > kFloatScaled && kind <= kFloatScaled + kFloatScaleMax);
}
/// The value before of a tag, by kind; 0 before the first.
using LastValues = std::array<std::uint64_t, kFloatScaled + kFloatScaleMax + 1>;

/// `order`: the indexes of the records tag by tag, rising within one; `starts`: where each tag's begin, and the end.
inline void group_by_tag(std::span<const std::uint32_t> tags, std::size_t tag_count, std::vector<std::uint32_t>& order,
                         std::vector<std::uint32_t>& starts) {
  starts.assign(tag_count + 2, 0);
  for (const std::uint32_t tag : tags) ++starts[tag + 2];
  for (std::size_t i = 2; i < starts.size(); ++i) starts[i] += starts[i - 1];
  order.resize(tags.size());
  for (std::size_t i = 0; i < tags.size(); ++i) order[starts[tags[i] + 1]++] = static_cast<std::uint32_t>(i);
  starts.pop_back();
}

template <class Visit>
void for_each_tag(std::span<const std::uint32_t> order, std::span<const std::uint32_t> starts, Visit visit) {
  for (std::size_t tag = 0; tag + 1 < starts.size(); ++tag) {
    visit(order.subspan(starts[tag], starts[tag + 1] - starts[tag]));
  }
}

/// Guesses which tag comes next: the one that came behind this one last time, else one that is new.
class TagOrder {
 public:
  explicit TagOrder(std::size_t tags) : next_(tags, kNew) {}
  std::uint32_t expected() const {
    const std::uint32_t next = seen_ == 0 ? kNew : next_[last_];
    return next == kNew ? seen_ : next;
  }
  /// Tags up to this can come.
  std::uint32_t seen() const { return seen_; }
  void take(std::uint32_t tag) {
    if (seen_ > 0) next_[last_] = tag;
    if (tag == seen_) ++seen_;
    last_ = tag;
  }

 private:
  static constexpr std::uint32_t kNew = UINT32_MAX;
  std::vector<std::uint32_t> next_;
  std::uint32_t last_ = 0;
  std::uint32_t seen_ = 0;
};

// How times are stored, all in units behind the first one. Stored in the log: never renumber.
inline constexpr std::uint8_t kTimesInOrder = 0;  // difference to the record before
inline constexpr std::uint8_t kTimesByTag = 1;    // tag by tag: change of the step; of a tag's first, difference to the
                                                  // first of the tag before
inline constexpr std::uint8_t kTimesBehindMoment = 2;  // difference to the moment's wall time
inline constexpr std::uint8_t kTimesWithMoment = 3;    // change of that difference
inline constexpr std::uint8_t kTimeModes = 4;

/// Times to differences and back, in the order in which the mode stores them.
class TimeSteps {
 public:
  TimeSteps(std::uint8_t mode, std::uint64_t base, std::int64_t unit, std::span<const Moment> moments)
      : mode_(mode), base_(base), unit_(unit), moments_(moments) {}

  std::uint64_t difference(std::uint64_t time, bool first_of_tag) {
    const auto number = static_cast<std::uint64_t>(static_cast<std::int64_t>(time - base_) / unit_);
    const std::uint64_t difference = number - guess(first_of_tag);
    take(number, first_of_tag);
    return difference;
  }
  std::uint64_t time(std::uint64_t difference, bool first_of_tag) {
    const std::uint64_t number = guess(first_of_tag) + difference;
    take(number, first_of_tag);
    return base_ + number * static_cast<std::uint64_t>(unit_);
  }

 private:
  std::uint64_t guess(bool first_of_tag) {
    if (mode_ == kTimesInOrder) return last_;
    if (mode_ == kTimesByTag) return first_of_tag ? first_ : last_ + step_;
    if (left_ == 0 && moment_ < moments_.size()) {
      left_ = moments_[moment_].count;
      wall_ = in_units(bits_of(moments_[moment_++].times.wall));
    }
    return wall_ + (mode_ == kTimesWithMoment ? behind_ : 0);
  }
  void take(std::uint64_t number, bool first_of_tag) {
    if (first_of_tag) {
      first_ = number;
    } else {
      step_ = number - last_;
    }
    last_ = number;
    behind_ = number - wall_;
    if (left_ > 0) --left_;
  }
  // Rounded down.
  std::uint64_t in_units(std::uint64_t time) const {
    const auto behind = static_cast<std::int64_t>(time - base_);
    return static_cast<std::uint64_t>(behind / unit_ - (behind % unit_ < 0 ? 1 : 0));
  }

  std::uint8_t mode_;
  std::uint64_t base_;
  std::int64_t unit_;
  std::span<const Moment> moments_;
  std::size_t moment_ = 0;
  std::uint32_t left_ = 0;
  std::uint64_t wall_ = 0;
  std::uint64_t behind_ = 0;
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t step_ = 0;
};

}  // namespace tidegate::buffer
