#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "core/record.h"

namespace tidegate::uplink {

/// Why batches of a stream fail, for a target that answers to each by itself. One thread.
class StreamTroubles {
 public:
  /// What TransportHandlers::trouble is to say now; nothing where it has said that already.
  std::optional<std::string> note(Stream stream, const std::string& trouble) {
    troubles_[static_cast<std::size_t>(stream)] = trouble;
    const auto first = std::find_if(troubles_.begin(), troubles_.end(), [](const auto& one) { return !one.empty(); });
    std::string now = first == troubles_.end() ? std::string() : *first;
    if (now == told_) return std::nullopt;
    told_ = now;
    return now;
  }

 private:
  std::array<std::string, kStreamCount> troubles_;
  std::string told_;
};

}  // namespace tidegate::uplink
