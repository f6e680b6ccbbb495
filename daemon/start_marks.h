#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "buffer/state_store.h"
#include "uplink/target_cursor.h"

namespace tidegate::daemon {

/// The newest starts of the gateway over a log.
struct StartMarks {
  /// Where the streams ended when it started: the sequence of the first record that came then.
  using Ends = std::array<std::uint64_t, kStreamCount>;

  uplink::LogHistory history;
  std::vector<Ends> ends;  // as many as history.starts
};

/// Adds this start to those that were saved. Where there are none although the log is not new, as after the loss of the
/// state database, the history has no starts and says nothing. `opened`, which has the log as it was opened, is given
/// them to be saved, before the first record of this start. `ends` is where the streams end.
StartMarks begin_start(const buffer::Checkpoint& saved, buffer::Checkpoint& opened, const StartMarks::Ends& ends,
                       bool is_new_log);

}  // namespace tidegate::daemon
