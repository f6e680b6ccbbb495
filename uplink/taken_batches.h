#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/record.h"
#include "core/time.h"

namespace tidegate::uplink {

/// The tag of a record, as an entry of a batch has it; empty where it has none. Records of one tag go one way, whatever
/// the target divides its work by.
std::string tag_of(std::string_view entry);

/// What a target has taken of a stream last, witnesses for it, and what it refuses. They are sought when somebody asks;
/// noting what is taken costs next to nothing. The lanes of a stream share one. Passive.
class TakenBatches {
 public:
  struct Record {
    std::string entry;
    std::uint32_t epoch = 0;
  };

  explicit TakenBatches(Stream stream) : stream_(stream) {}

  /// Records that the target had not acknowledged before.
  void add(std::shared_ptr<const std::string> message, std::uint32_t epoch);
  /// How often that was called.
  std::uint64_t count() const { return count_; }
  /// What is there is no witness any more.
  void clear();

  /// A record was refused that was alone.
  void note_refused(const std::string& tag, Position at);
  /// Whether another one of its tag was, and did not go aside.
  bool has_refused_beside(const std::string& tag, Position at) const;
  void forget_refused(const std::string& tag, Position at);

  std::optional<Record> newest() const;
  std::optional<Record> newest_of(const std::string& tag) const;

  /// Records have come that are to be sent.
  void note_supply(BootTime now) { supplied_at_ = now; }
  BootTime supplied_at() const { return supplied_at_; }

  /// The target has refused without a reason.
  void distrust(BootTime now) { distrusted_until_ = now + kDistrust; }
  bool is_distrusted(BootTime now) const { return now < distrusted_until_; }

  static constexpr Duration kDistrust = std::chrono::hours(1);
  /// Of readings, with what each batch takes beside its text. The two newest batches are kept, however large.
  static constexpr std::size_t kBytesMost = 128 * 1024;
  /// Of alarms, and of events: a batch of theirs is a record, as a rule, so they would fill up for hours and days.
  static constexpr std::size_t kDocumentBytesMost = 32 * 1024;

 private:
  struct Batch {
    std::shared_ptr<const std::string> message;
    std::uint32_t epoch = 0;
  };
  std::size_t bytes_most() const { return stream_ == Stream::readings ? kBytesMost : kDocumentBytesMost; }
  template <class IsWanted>
  std::optional<Record> find_newest(IsWanted is_wanted) const;

  const Stream stream_;
  std::deque<Batch> batches_;
  std::size_t bytes_ = 0;
  std::uint64_t count_ = 0;
  std::map<std::string, std::pair<Position, Position>> refused_;  // by tag: the last ones
  BootTime supplied_at_ = BootTime::min();
  BootTime distrusted_until_ = BootTime::min();
};

}  // namespace tidegate::uplink
