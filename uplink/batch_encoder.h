#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/record.h"
#include "core/tag.h"
#include "uplink/doubtful_times.h"
#include "uplink/lane.h"

namespace tidegate::uplink {

/// The end of the chain before an epoch began, for the first batch of that epoch.
struct ChainEnd {
  std::uint32_t epoch = 0;
  std::uint64_t to = 0;
  bool operator==(const ChainEnd&) const = default;
};

/// What the lane live left to the lane backlog just before a batch; both ends included, `epoch` is that of `from`.
struct SkippedMark {
  std::uint32_t epoch = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  bool operator==(const SkippedMark&) const = default;
};

/// What a batch says of itself, before its entries.
struct BatchHead {
  Stream stream = Stream::readings;
  std::uint32_t epoch = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint32_t count = 0;
  bool historical = false;   // stored while the uplink was away
  std::optional<Lane> lane;  // nothing: there is one chain, and "backlog" is what is historical
  WallTime sent{};
  std::optional<ChainEnd> prev;
  std::optional<SkippedMark> skipped;
  bool replay = false;           // the cursor was moved by hand: the chain begins anew here
  const char* beside = nullptr;  // "witness", "probe" or "letter": it stands outside of the chain
};

/// What the batch says of its lane.
constexpr Lane lane_of(const BatchHead& head) {
  return head.lane.value_or(head.historical ? Lane::backlog : Lane::live);
}

/// The number of an entry, as the encoder below makes them.
std::optional<std::uint64_t> sequence_of(std::string_view entry);

/// Writes batches of format json, version 1: entries are appended one by one to a buffer that the caller owns and
/// reuses; the head, which is known last, is put before them by finish(). Allocates only when a buffer grows and once a
/// new tag. One thread. The registry outlives it.
class BatchEncoder {
 public:
  BatchEncoder(const std::string& gateway, const TagRegistry& tags);

  /// Says where the time stands, for a batch that may know it better when it is sent.
  TimeSpot append_reading(std::string& entries, std::uint64_t sequence, const Reading& reading,
                          const FrameTimes& times);
  /// `document` is the stored JSON object, which has no "seq". What is no object is carried as text.
  void append_document(std::string& entries, std::uint64_t sequence, std::string_view document) const;

  /// Makes `entries` the complete message; returns where the entries now begin in it.
  std::size_t finish(std::string& entries, const BatchHead& head) const;
  /// The same for a message that finish() made, sent once more: only the head changes.
  std::size_t finish_again(std::string& message, std::size_t entries_at, const BatchHead& head) const;

  /// Behind the entries.
  static constexpr std::string_view kTail = "]}";

  /// No head and tail together are longer.
  std::size_t frame_bytes_max() const { return frame_bytes_max_; }

 private:
  std::string make_head(const BatchHead& head) const;
  const std::string& tag_member(TagId tag);

  const TagRegistry& tags_;
  std::string beginning_;  // {"v":1,"gateway":"..."
  std::size_t frame_bytes_max_;
  std::vector<std::string> tag_members_;  // by TagId: ,"tag":"...","time":
};

}  // namespace tidegate::uplink
