#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/record.h"
#include "uplink/batch_encoder.h"
#include "uplink/doubtful_times.h"
#include "uplink/options.h"
#include "uplink/tag_filter.h"

namespace tidegate::uplink {

/// What one batch answers for: from `from` on, entries and what the filter left out between them.
struct Stretch {
  std::uint64_t from = 0;
  std::uint32_t count = 0;     // entries
  std::uint64_t filtered = 0;  // all that was left out,
  std::uint64_t lead = 0;      // and of that before the first entry
  Position first_entry;        // with count > 0
  FrameTimes times;            // of the first entry, else of the first record,
  BootId boot_id{};            // and the boot that they are of
};

/// The batch that is being filled, and its limits: entries and bytes; one record that is larger than the limit goes
/// alone. Keeps its text encoded, so that a record is touched once.
class BatchFill {
 public:
  BatchFill(const ForwarderOptions& options, BatchEncoder& encoder, TagFilter& filter);

  /// Takes the record, or leaves it out by the filter. False, and nothing changed, when it does not fit any more.
  bool take(const RecordBatch& batch, std::size_t index, BootTime now);
  /// A new epoch begins before the first entry; its sequences may begin below those that are covered already.
  void reach_back(std::uint64_t from);
  /// From the next batch on no message is to be longer, but for one of a single record.
  void limit_message(std::size_t bytes);
  /// From the next batch on they may be twice as long as limit_message() said, never longer than configured.
  void raise_limit();
  /// The entries whose time may be known better when they are sent. Before begin_next().
  DoubtfulTimes take_doubts();
  /// Empties it and gives the entries' text away; the next stretch begins at `from`.
  std::string begin_next(std::uint64_t from);

  const Stretch& stretch() const { return stretch_; }
  bool empty() const { return stretch_.count == 0; }
  /// Their text; has_doubts(): take_doubts() would give some.
  const std::string& entries() const { return entries_; }
  bool has_doubts() const { return !doubts_.empty(); }
  bool full() const { return full_; }
  /// When the first entry was supplied.
  BootTime since() const { return since_; }

 private:
  bool passes(const RecordBatch& batch, std::size_t index);
  bool append(const RecordBatch& batch, std::size_t index);
  void leave_out(const RecordBatch& batch);

  const std::uint32_t entries_max_;
  const std::size_t bytes_most_;  // of the entries' text, as configured
  std::size_t bytes_max_;         // and as the target takes it
  BatchEncoder& encoder_;
  TagFilter& filter_;
  std::string entries_;
  std::size_t expected_bytes_ = 0;  // of these, and what goes around them
  DoubtfulTimes doubts_;
  Stretch stretch_;
  BootTime since_{};
  bool full_ = false;
};

}  // namespace tidegate::uplink
