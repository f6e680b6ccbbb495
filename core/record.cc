#include "core/record.h"

namespace tidegate {

const char* to_string(Stream stream) {
  switch (stream) {
    case Stream::readings:
      return "readings";
    case Stream::alarms:
      return "alarms";
    case Stream::events:
      return "events";
  }
  return "readings";
}

std::optional<Stream> parse_stream(std::string_view name) {
  for (const Stream stream : kAllStreams) {
    if (name == to_string(stream)) return stream;
  }
  return std::nullopt;
}

}  // namespace tidegate
