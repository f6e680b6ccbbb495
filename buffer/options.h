#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "core/record.h"
#include "core/time.h"

namespace tidegate::buffer {

enum class SyncPolicy : std::uint8_t { always, interval, os };

/// What happens to new readings when the ring is full of what not every uplink has passed.
enum class WhenFull : std::uint8_t {
  drop_oldest,  // the oldest segment makes room
  drop_newest,  // they take their sequences and are not kept
  block,        // they are refused (ErrorCode::full), so that their sources are held back
};

struct RingLogOptions {
  std::string directory;  // "<data_dir>/log"; its parent exists
  std::array<std::uint64_t, kStreamCount> size_max_bytes{256ULL << 20, 16ULL << 20, 8ULL << 20};  // by Stream
  std::uint64_t segment_bytes_max = 16ULL << 20;  // the real size is at most an eighth of the stream's, 64 KiB at least
  std::uint64_t memory_bytes_max = 1ULL << 20;    // newest frames kept in memory for consumers that keep up, a stream
  SyncPolicy sync = SyncPolicy::interval;
  Duration sync_interval = std::chrono::milliseconds(250);
  WhenFull when_full = WhenFull::drop_oldest;  // of `readings`; alarms and events always make room
  std::optional<Duration> max_age;             // of `readings`
  bool compact = true;                         // sealed segments are rewritten in dense frames
  std::uint32_t first_epoch = 1;               // of a log that is made anew; from 1

  bool operator==(const RingLogOptions&) const = default;
};

/// The longest text of a reading that a log with these options takes.
std::size_t text_bytes_max(const RingLogOptions& options);

}  // namespace tidegate::buffer
