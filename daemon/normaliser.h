#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/reading.h"
#include "core/tag.h"

namespace tidegate::daemon {

/// Brings readings into the form that the log holds: NaN and infinities become null of quality bad, reason `nan`;
/// readings without a tag and texts over kValueTextBytesMax are refused and counted; readings inside their tag's dead
/// band are left out and counted. Remembers the newest reading of every tag. Core thread.
class Normaliser {
 public:
  explicit Normaliser(const TagRegistry& tags) : tags_(tags) {}

  /// Removes what is not to be kept, changes the rest in place, keeps the order.
  void apply(std::vector<Reading>& readings);

  /// By tag id; a reading whose tag is kNoTag was never seen.
  const std::vector<Reading>& latest() const { return latest_; }
  /// "no_tag", "text_too_long", "deadband" to how many.
  const std::map<std::string, std::uint64_t>& left_out() const { return left_out_; }

 private:
  bool keep(Reading& reading);
  bool within_deadband(const Reading& reading, const Reading& before) const;

  const TagRegistry& tags_;
  std::vector<Reading> latest_;
  std::map<std::string, std::uint64_t> left_out_;
};

}  // namespace tidegate::daemon
