#include "core/reading.h"

namespace tidegate {

const char* to_string(Quality quality) {
  switch (quality) {
    case Quality::good:
      return "good";
    case Quality::uncertain:
      return "uncertain";
    case Quality::bad:
      return "bad";
  }
  return "bad";
}

const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::none:
      return "";
    case Reason::nan:
      return "nan";
    case Reason::stale:
      return "stale";
    case Reason::not_connected:
      return "not-connected";
    case Reason::poll_missed:
      return "poll-missed";
    case Reason::out_of_range:
      return "out-of-range";
    case Reason::sensor_failure:
      return "sensor-failure";
    case Reason::timeout:
      return "timeout";
    case Reason::device_busy:
      return "device-busy";
    case Reason::illegal_function:
      return "illegal-function";
    case Reason::illegal_address:
      return "illegal-address";
    case Reason::illegal_value:
      return "illegal-value";
    case Reason::device_failure:
      return "device-failure";
    case Reason::gateway_failure:
      return "gateway-failure";
    case Reason::bad_reply:
      return "bad-reply";
    case Reason::wrong_type:
      return "wrong-type";
  }
  return "unknown";
}

}  // namespace tidegate
