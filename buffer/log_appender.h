#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/error.h"
#include "core/record.h"

namespace tidegate::buffer {

/// The part of the ring log that takes records in. Core thread.
class LogAppender {
 public:
  virtual ~LogAppender() = default;

  /// Writes one or more frames with these records; returns the position of the first. At most 64 Ki readings a call.
  /// An error means that nothing of it was written; `full` and `retry` may pass. Readings that are dropped on purpose
  /// (dropped() grows) take their sequences and are no error.
  virtual Result<Position> append(std::span<const Reading> readings, const FrameTimes& times,
                                  std::span<const QueueMark> marks) = 0;
  /// The same for `alarms` and `events`; each document is one JSON object without "seq".
  virtual Result<Position> append(Stream stream, std::span<const std::string> documents, const FrameTimes& times) = 0;

  virtual Position end(Stream stream) const = 0;      // behind the last written record
  virtual Position durable(Stream stream) const = 0;  // behind the last durable record
  /// Readings dropped on purpose as they came, since the log was opened.
  virtual std::uint64_t dropped() const = 0;
};

}  // namespace tidegate::buffer
