#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidegate::uplink {

/// One series of a request of Prometheus remote write 1.0.
struct RemoteSeries {
  std::vector<std::pair<std::string_view, std::string_view>> labels;  // sorted by name, "__name__" among them
  std::vector<std::pair<std::int64_t, double>> samples;               // milliseconds since 1970, value
};

/// Appends the series to a WriteRequest, a message of Protocol Buffers: TimeSeries is its field 1.
void append_series(std::string& request, const RemoteSeries& series);

/// The bytes in Snappy's block format, as literals alone: valid, and not smaller. The format is four lines long that
/// way, and a library less to load; a proxy or a reader that knows Snappy sees no difference.
std::string snappy_block(std::string_view bytes);

/// A metric's name for the last part of a tag's path: what is not [a-zA-Z0-9_:] becomes "_", and so does nothing.
std::string metric_name(std::string_view prefix, std::string_view tag);

}  // namespace tidegate::uplink
