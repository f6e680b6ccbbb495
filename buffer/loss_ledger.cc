#include "buffer/loss_ledger.h"

#include <algorithm>

namespace tidegate::buffer {

void LossLedger::note(SequenceRange range, const std::string& reason) {
  if (range.empty()) return;
  if (!parts_.empty() && parts_.back().reason == reason && parts_.back().range.end == range.first) {
    parts_.back().range.end = range.end;
    return;
  }
  parts_.push_back({range, reason});
  if (parts_.size() > kPartsMax) parts_.pop_front();
}

std::vector<LossLedger::Part> LossLedger::explain(SequenceRange range) const {
  std::vector<Part> found;
  while (!range.empty()) {
    Part part{range, ""};
    for (const Part& known : parts_) {
      const bool holds = known.range.first <= range.first && range.first < known.range.end;
      if (holds) {
        part = {{range.first, std::min(known.range.end, range.end)}, known.reason};
        break;
      }
      if (known.range.first > range.first) part.range.end = std::min(part.range.end, known.range.first);
    }
    range.first = part.range.end;
    if (!found.empty() && found.back().reason == part.reason) {
      found.back().range.end = part.range.end;
    } else {
      found.push_back(std::move(part));
    }
  }
  return found;
}

}  // namespace tidegate::buffer
