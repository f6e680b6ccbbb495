#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/reading.h"
#include "core/time.h"

namespace tidegate {

/// The ordered logs of a gateway. Stored in segment headers: never renumber.
enum class Stream : std::uint8_t { readings = 0, alarms = 1, events = 2 };
inline constexpr Stream kAllStreams[] = {Stream::readings, Stream::alarms, Stream::events};
inline constexpr std::size_t kStreamCount = 3;

const char* to_string(Stream stream);
std::optional<Stream> parse_stream(std::string_view name);

/// A place in a stream. Ordered by epoch first; sequences go on over epochs.
/// As "next to read" it names the first record not yet passed.
struct Position {
  std::uint32_t epoch = 0;
  std::uint64_t sequence = 0;
  auto operator<=>(const Position&) const = default;
};

/// When a frame was taken in; the same for all its records.
struct FrameTimes {
  WallTime wall{};
  BootTime boot{};
  ClockQuality quality = ClockQuality::unsynced;
};

/// How far a frame has taken the queue in front of a driver, so that a restart takes nothing twice.
struct QueueMark {
  std::uint64_t queue_id = 0;
  std::uint64_t position = 0;
  bool operator==(const QueueMark&) const = default;
};

/// Consecutive records of one stream and epoch: record i has sequence first + i.
/// The stream `readings` fills `readings`; `alarms` and `events` fill `documents`, one JSON object each, without "seq".
/// One batch is one frame of the log, or the part of it that lies behind the position asked for.
struct RecordBatch {
  Stream stream = Stream::readings;
  std::uint32_t epoch = 0;
  std::uint64_t first = 0;
  FrameTimes times;
  BootId boot_id{};  // that the times belong to; all zero: not known
  std::vector<Reading> readings;
  std::vector<std::string> documents;

  std::size_t size() const { return stream == Stream::readings ? readings.size() : documents.size(); }
  /// The position behind the last record.
  Position end() const { return {epoch, first + size()}; }
};

}  // namespace tidegate
