#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "buffer/segment_format.h"

namespace tidegate::buffer {

/// Why records of one stream are gone, as far as that is remembered: the newest losses only, so that memory is bounded.
/// What it has forgotten, or never heard of because every uplink had passed it, the caller has to guess. Core thread.
class LossLedger {
 public:
  struct Part {
    SequenceRange range;
    std::string reason;  // empty: not known
  };

  void note(SequenceRange range, const std::string& reason);
  /// The range in parts of one reason each.
  std::vector<Part> explain(SequenceRange range) const;

 private:
  static constexpr std::size_t kPartsMax = 512;

  std::deque<Part> parts_;  // in the order of their being noted
};

}  // namespace tidegate::buffer
