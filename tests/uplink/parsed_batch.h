#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/record.h"
#include "uplink/batch_encoder.h"

namespace tidegate::uplink::testing {

struct ParsedEntry {
  std::uint64_t sequence = 0;
  std::string tag;
  std::int64_t value = 0;
};

/// A batch as a receiver reads it. The first complaint about its form is kept in `problem`.
struct ParsedBatch {
  std::string problem;
  std::string gateway;
  Stream stream = Stream::readings;
  std::string lane;
  std::uint32_t epoch = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint64_t count = 0;
  std::int64_t sent = 0;
  bool historical = false;
  std::optional<ChainEnd> prev;
  std::optional<SkippedMark> skipped;
  bool replay = false;
  std::string beside;  // empty: of the chain
  std::vector<ParsedEntry> entries;
  std::string entries_text;  // from the array's bracket on

  Position first() const { return {epoch, from}; }
  Position last() const { return {epoch, to}; }
};

/// Checks what holds for any batch: all members, `seq` rising inside [from, to], `count`, the array named by the
/// stream.
ParsedBatch parse_batch(const std::string& payload);

}  // namespace tidegate::uplink::testing
