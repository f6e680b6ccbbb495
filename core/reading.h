#pragma once

#include <cstdint>
#include <string_view>

#include "core/tag.h"
#include "core/time.h"
#include "core/value.h"

namespace tidegate {

enum class Quality : std::uint8_t { good, uncertain, bad };

/// Why a quality is not good. Stored in the log: append new ones at the end, never renumber.
enum class Reason : std::uint8_t {
  none,
  nan,
  stale,
  not_connected,
  poll_missed,
  out_of_range,
  sensor_failure,
  timeout,
  device_busy,
  illegal_function,
  illegal_address,
  illegal_value,
  device_failure,
  gateway_failure,
  bad_reply,
  wrong_type,
};

/// Where a reading's time comes from: its payload, or this gateway's clock when it came in.
enum class TimeOrigin : std::uint8_t { ingest, source };

/// One measured value of one tag. Its sequence is not in here: the log gives it.
struct Reading {
  TagId tag{};
  Quality quality = Quality::good;
  Reason reason = Reason::none;
  TimeOrigin origin = TimeOrigin::ingest;
  WallTime time{};
  Value value;
};

/// "good", "uncertain", "bad".
const char* to_string(Quality quality);
/// "nan", "not-connected", ...: the words that leave the gateway; "" for none.
const char* to_string(Reason reason);

}  // namespace tidegate
