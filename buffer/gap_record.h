#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/epoch_table.h"
#include "buffer/recovery.h"

namespace tidegate::buffer {

/// `range` without what lies in `holes` (rising).
std::vector<SequenceRange> without(SequenceRange range, std::span<const SequenceRange> holes);

/// The documents for `events` that record a loss: one for each epoch.
std::vector<std::string> gap_documents(Stream stream, const Loss& loss, const EpochTable& epochs, std::uint64_t end);

/// A gap that a document of `events` records; nothing when it is something else, such as what one uplink alone skipped.
struct RecordedGap {
  Stream stream = Stream::readings;
  std::uint32_t epoch = 0;
  SequenceRange range;
  std::string reason;
  WallTime from{};  // milliseconds
  WallTime to{};

  /// Dropped on purpose as the newest: no damage.
  bool is_drop() const { return reason == "drop-newest"; }
};
std::optional<RecordedGap> parse_gap(std::string_view document);

}  // namespace tidegate::buffer
