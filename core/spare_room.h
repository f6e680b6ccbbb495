#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/free_room.h"

namespace tidegate {

/// Tells when a buffer that is used over and over has much more room than it needs. Batches are at their largest behind
/// an outage; what these took would else be kept until the end, by each part that they passed.
class SpareRoom {
 public:
  /// After each use: what it took of the room that there is, bytes. True when the room is to be given back: the largest
  /// of the last kUses took less than half of it, so that what has doubled to its size is kept.
  bool is_too_much(std::size_t used, std::size_t room) {
    most_ = std::max(most_, used);
    if (++uses_ < kUses) return false;
    const bool is = room > kLeast && most_ < room / 2;
    uses_ = 0;
    most_ = 0;
    return is;
  }

  static constexpr std::uint32_t kUses = 16;
  static constexpr std::size_t kLeast = 8 * 1024;  // less is not worth an allocation

 private:
  std::uint32_t uses_ = 0;
  std::size_t most_ = 0;
};

/// A text that is made anew again and again, in the room of those before as far as that is of use.
class ReusedText {
 public:
  std::string& begin() {
    if (spare_.is_too_much(text_.size(), text_.capacity())) free_room(text_);
    text_.clear();
    return text_;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  SpareRoom spare_;
};

}  // namespace tidegate
