#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "core/record.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink::testing {

/// What was ever appended to one stream, and what became of it.
struct ModelRecord {
  enum class Fate : std::uint8_t { kept, evicted, vanished };

  Position at;
  TagId tag{};
  bool passes = true;  // the uplink's filter
  std::int64_t value = 0;
  Fate fate = Fate::kept;
  bool is_counted = true;  // false: vanished before the uplink had passed it
  bool received = false;
  bool skipped = false;   // by a move of the cursor
  bool declared = false;  // as skipped, once
  bool promised = false;  // by the lane live, to come in the lane backlog
  bool answered = false;  // some batch answers for it
  bool poison = false;    // the target takes no batch with it
  bool probed = false;    // sent ahead of its turn
  bool dead = false;      // kept as a dead letter
};

/// Whether it lies before the lane live, and in no stretch that the lane backlog has yet to pass.
bool is_passed(const LanePlaces& places, Position at);

/// A stream of the ring log as an uplink sees it: frames of any size, eviction, damage, crashes that lose the tail.
class ModelLog {
 public:
  struct Read {
    enum class Kind : std::uint8_t { ready, at_end, gone };
    Kind kind = Kind::at_end;
    RecordBatch batch;
    Position next;
    std::uint64_t lost = 0;
  };

  ModelLog(Stream stream, Position begin) : stream_(stream), end_(begin) {}

  void append(ModelRecord record);
  /// Takes away the oldest `count` that are kept.
  void evict(std::size_t count);
  /// Takes away `count` records somewhere.
  void damage(std::size_t count, std::mt19937_64& random);
  /// A crash: the newest `count` of this epoch are gone, their numbers are given out again in the next. What `passed`
  /// does not cover is not counted by anyone.
  void crash(std::size_t count, const LanePlaces& passed);

  /// Moves the uplink's cursor; what it then has to count.
  CursorMove move(const LanePlaces& places, Position to);
  /// Records that were passed before the cursor was moved back over them.
  std::uint64_t moved_over() const { return moved_over_; }

  /// As RingLog::read, with frames cut at random, also around `from`.
  Read read(Position from, const FrameTimes& times, std::mt19937_64& random) const;

  /// Records of [from, to) that are gone; nothing when there never were any, or none that a crash has left.
  std::optional<std::uint64_t> lost_between(Position from, Position to) const;

  Position end() const { return end_; }
  const std::vector<ModelRecord>& records() const { return records_; }
  ModelRecord* find(Position at);
  /// The first record at or behind the position.
  std::size_t index_of(Position at) const;
  /// Some epoch behind `from` begins with numbers that the one before had given out.
  bool reuses_numbers_behind(std::uint32_t epoch) const { return !reusing_.empty() && reusing_.back() > epoch; }

 private:
  bool is_kept(std::size_t index) const { return records_[index].fate == ModelRecord::Fate::kept; }
  bool are_neighbours(std::size_t left, std::size_t right) const;
  RecordBatch make_batch(std::size_t begin, std::size_t end, const FrameTimes& times) const;

  std::uint64_t sequence_of(Position position) const;

  Stream stream_;
  Position end_;
  std::vector<ModelRecord> records_;
  std::vector<std::uint32_t> reusing_;  // epochs
  std::uint64_t moved_over_ = 0;
};

}  // namespace tidegate::uplink::testing
