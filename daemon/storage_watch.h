#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "buffer/fill_watch.h"
#include "buffer/ring_log.h"
#include "core/clock.h"
#include "daemon/pipeline.h"
#include "rules/alarm.h"

namespace tidegate::daemon {

/// Looks every second at what the log and the state database say of their disk, and at how full the rings are. Says so
/// in the log's streams: an alarm `tidegate/storage` while the disk fails (kept until it can be written), an event
/// `buffer-fill` at each level of a ring. Only watches; nothing here makes anything go on or stop. Core thread.
class StorageWatch {
 public:
  struct Parts {
    const buffer::RingLog* log = nullptr;
    Pipeline* pipeline = nullptr;
    const Clock* clock = nullptr;
  };

  explicit StorageWatch(Parts parts) : parts_(parts) {}

  /// The alarm as an earlier process left it.
  void set_raised(bool raised);
  /// An alarm record that the log holds.
  void observe_logged(const rules::AlarmTransition& logged);

  /// What the log cannot say itself.
  struct Reports {
    std::string state_failure;  // why the state database is not saved
    Duration silent_for{};      // how long the disk has not answered
  };
  /// Looks once; to be called about every second.
  void look(const Reports& reports);

  bool is_failed() const { return failed_; }
  /// What is wrong; empty when nothing is.
  const std::string& problem() const { return problem_; }
  const buffer::FillWatch& fill(Stream stream) const { return fills_[static_cast<std::size_t>(stream)]; }

  static constexpr const char* kCounter = "storage_alarm";  // in the checkpoint: the alarm is raised

 private:
  std::string find_problem(const Reports& reports) const;
  void look_at_storage(const Reports& reports);
  void look_at_fill(Stream stream);
  void record(rules::AlarmState state, std::string message);

  Parts parts_;
  bool failed_ = false;
  std::string problem_;
  int looks_ = 0;  // in a row that found the other of failed and not
  Position raised_by_;
  std::array<buffer::FillWatch, kStreamCount> fills_;
};

}  // namespace tidegate::daemon
