#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "core/index_set.h"

namespace tidegate::drivers {

/// What is known of a topic without its document.
struct LatestTopic {
  bool is_retained = false;      // a new subscription gets it; an alarm that has cleared is only told to those who wait
  std::uint64_t changed_in = 0;  // the round
};

/// The latest document of each tag and each alarm, for those who subscribe to a listener: state, not a stream. Topics
/// are numbered in the order in which they came, and none goes. The daemon fills it where it judges; what changed since
/// the last round is told all at once. Core thread.
class LatestValues {
 public:
  virtual ~LatestValues() = default;

  /// Topics so far.
  virtual std::size_t size() const = 0;
  /// How often it was told what had changed.
  virtual std::uint64_t rounds() const = 0;
  virtual LatestTopic look(std::size_t index) const = 0;
  /// "tidegate/values/DEVICE/TAG", "tidegate/alarms/RULE/DEVICE/TAG".
  virtual void append_topic(std::size_t index, std::string& out) const = 0;
  /// One JSON object, as `tidegate tail` prints it.
  virtual void append_document(std::size_t index, std::string& out) = 0;

  using Changed = std::function<bool(const IndexSet& changed)>;
  /// Called once a round, in which something has changed, from here on, until it says false.
  virtual void on_changed(Changed action) = 0;
};

}  // namespace tidegate::drivers
