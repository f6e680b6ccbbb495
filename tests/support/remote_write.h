#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidegate::testing {

/// A series of a request of Prometheus remote write: its labels, and samples of milliseconds and values.
struct SeriesSeen {
  std::map<std::string, std::string> labels;
  std::vector<std::pair<std::int64_t, double>> samples;
};

/// Reads a request by the documents of Snappy and Protocol Buffers. Throws std::runtime_error where it is none.
std::vector<SeriesSeen> read_write_request(std::string_view body);

}  // namespace tidegate::testing
