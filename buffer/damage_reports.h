#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "buffer/segment_format.h"

namespace tidegate::buffer {

/// Records that a reader found unreadable.
struct Damage {
  Stream stream = Stream::readings;
  SequenceRange lost;
  std::string text;  // where it begins and what is wrong there
};

/// The way from readers on the storage thread to the log on the core thread. Any thread.
class DamageReports {
 public:
  void add(Damage damage) {
    const std::lock_guard lock(mutex_);
    if (!reports_.empty() && reports_.back().stream == damage.stream && reports_.back().lost.end == damage.lost.first) {
      reports_.back().lost.end = damage.lost.end;  // one sector can take many frames
      return;
    }
    if (reports_.size() < kReportsMax) reports_.push_back(std::move(damage));
  }
  std::vector<Damage> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(reports_, {});
  }

 private:
  // What does not fit is found again by the next reader.
  static constexpr std::size_t kReportsMax = 1024;
  std::mutex mutex_;
  std::vector<Damage> reports_;
};

}  // namespace tidegate::buffer
