#pragma once

#include <set>
#include <utility>

#include "core/record.h"

namespace tidegate::uplink {

/// Which records from behind one that is refused were sent ahead of their turn, and which comes next: in their order,
/// so that whoever takes one has refused, or has, all that it overtakes. Passive.
class ProbePlaces {
 public:
  /// The record was refused once more.
  void begin(Position record) {
    taken_.erase(taken_.begin(), taken_.lower_bound(record));
    refused_.erase(refused_.begin(), refused_.lower_bound(record));
    may_repeat_ = true;
    if (next_ <= record) start_over(record);
  }
  /// All were asked that there are.
  void start_over(Position record) { next_ = behind(record); }
  void clear() { *this = {}; }

  bool is_next(Position at) const { return at >= next_ && !taken_.contains(at); }
  bool may_be_before(Position end) const { return next_ < end; }
  /// Whether it was refused before.
  bool take(Position at) {
    taken_.insert(at);
    next_ = behind(at);
    return refused_.contains(at);
  }
  /// The first one is asked again at once: a target that takes it then refuses without a reason.
  void refuse(Position at) {
    refused_.insert(at);
    next_ = std::exchange(may_repeat_, false) ? at : behind(at);
  }
  bool has_refused_in(Position from, Position end) const {
    const auto first = refused_.lower_bound(from);
    return first != refused_.end() && *first < end;
  }

 private:
  static Position behind(Position at) { return {at.epoch, at.sequence + 1}; }

  Position next_{};
  bool may_repeat_ = false;
  std::set<Position> taken_;  // both from the record on
  std::set<Position> refused_;
};

}  // namespace tidegate::uplink
