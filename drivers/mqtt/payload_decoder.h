#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/reading.h"
#include "core/time.h"
#include "drivers/mqtt/json_pointer.h"
#include "drivers/mqtt/options.h"
#include "drivers/mqtt/refusal.h"

namespace tidegate::drivers {

/// What to take from a payload.
struct PayloadRule {
  PayloadFormat format = PayloadFormat::json;
  std::optional<JsonPointer> each;    // then the others point into an element of that array
  std::vector<JsonPointer> values;    // one or more, unless all_members
  bool all_members = false;           // every scalar member of the object at values[0], but the time
  std::optional<JsonPointer> device;  // names that the payload gives
  std::optional<JsonPointer> tag;
  std::optional<JsonPointer> time;
  TimeUnit time_unit = TimeUnit::milliseconds;
};

/// One value out of a payload. The views point into the decoder and hold until the call that gave them returns.
struct Sample {
  std::size_t index = 0;    // into PayloadRule::values
  std::string_view member;  // with all_members
  std::string_view device;  // with PayloadRule::device
  std::string_view tag;     // with PayloadRule::tag
  Quality quality = Quality::good;
  Reason reason = Reason::none;
  TimeOrigin origin = TimeOrigin::ingest;
  WallTime time{};
  Value value;
};

class SampleSink {
 public:
  virtual ~SampleSink() = default;
  virtual void take(Sample& sample) = 0;  // may move the value out
  /// `detail` says what was looked for.
  virtual void refuse(Refusal why, std::string_view detail) = 0;
};

/// Reads payloads: JSON by simdjson, a line of CSV as a JSON array of its fields, numbers, text. Keeps its buffers from
/// message to message. One thread.
///
/// Values: JSON integers that fit int64 or uint64 stay integers, other numbers are doubles; a JSON null is a null value
/// of quality `bad` without a reason, since nothing says why the sensor has none. Times must be a number (or with
/// iso8601 a text) between 2000 and a day after the arrival, the latter only where the clock is synced; a time that is
/// not is never guessed: the reading keeps the time of arrival, quality `uncertain`, and is counted.
class PayloadDecoder {
 public:
  PayloadDecoder();
  ~PayloadDecoder();

  /// Begins a message; the views must hold until the next call.
  void load(std::string_view payload, WallTime received, bool clock_is_synced);
  /// What the rule finds in the message. May be called with several rules; JSON is parsed once.
  void decode(const PayloadRule& rule, SampleSink& sink);

 private:
  class Json;
  void decode_number(SampleSink& sink) const;
  void decode_text(SampleSink& sink) const;

  std::unique_ptr<Json> json_;
  std::string_view payload_;
  WallTime received_{};
  WallTime latest_plausible_{};
};

}  // namespace tidegate::drivers
