#include "buffer/recorded_gaps.h"

namespace tidegate::buffer {

Result<std::vector<RecordedGap>> read_recorded_gaps(FileSystem& files, LogSnapshot events, Position from) {
  std::vector<RecordedGap> found;
  TagRegistry no_tags;
  LogReader reader(files, no_tags, std::move(events), nullptr);
  for (;;) {
    const auto outcome = reader.read(from);
    if (!outcome) return tl::unexpected(outcome.error());
    if (outcome->status == ReadStatus::at_end) return found;
    from = outcome->next;
    if (!outcome->batch) continue;
    for (const std::string& document : outcome->batch->documents) {
      if (auto gap = parse_gap(document)) found.push_back(*gap);
    }
  }
}

}  // namespace tidegate::buffer
