#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "buffer/dead_letter_store.h"
#include "buffer/space_reserve.h"
#include "core/clock.h"
#include "daemon/event_loop.h"
#include "daemon/log_keeper.h"
#include "daemon/pipeline.h"
#include "daemon/worker.h"
#include "uplink/forwarder.h"

namespace tidegate::daemon {

/// The records that targets refuse for good: keeps them durably, counts, lists and drops them. Core thread; the storage
/// thread works on the table.
class DeadLetters {
 public:
  struct Parts {
    buffer::DeadLetterStore* store = nullptr;
    buffer::RingLog* log = nullptr;
    const Pipeline* pipeline = nullptr;
    LogKeeper* keeper = nullptr;
    Worker* storage = nullptr;
    EventLoop* loop = nullptr;
    buffer::SpaceReserve* reserve = nullptr;
    const Clock* clock = nullptr;
  };
  using Counts = std::map<std::string, buffer::DeadLetterCount>;
  template <class T>
  using Done = std::function<void(const Result<T>&)>;

  /// `counts` is what the table holds.
  DeadLetters(Parts parts, Counts counts) : parts_(parts), counts_(std::move(counts)) {}

  /// First a gap record with the reason `dead-letter` is durable, then the letter; then it is answered. One that is
  /// there already, with its gap record, is only renewed. Errors: `full` where the uplink has as much as it may,
  /// `retry` for the rest; then there may be a gap record and no letter yet, and no second one for the next time, but
  /// where the daemon was restarted in between.
  void keep(const std::string& uplink, const uplink::RefusedRecord& record, const buffer::DeadLetterLimits& limits,
            const Done<void>& done);

  /// As DeadLetterStore::list.
  void list(const std::string& uplink, std::uint64_t after, std::size_t limit,
            const Done<buffer::DeadLetterPage>& done);
  /// Has the letter sent, and removes it when the target has it. Errors as UplinkRunner::send_letter, `invalid` when
  /// there is none, and `retry` when the same one is on its way already; one that is refused stays, with what the
  /// target says now.
  using Send = std::function<void(const buffer::DeadLetter& letter, std::function<void(const Result<void>&)> sent)>;
  void retry(const std::string& uplink, std::uint64_t id, const Send& send, const Done<void>& done);
  /// Those with the ids, without them all; how many there were.
  void drop(const std::string& uplink, const std::optional<std::vector<std::uint64_t>>& ids,
            const Done<std::uint64_t>& done);

  buffer::DeadLetterCount of(const std::string& uplink) const;
  /// By uplink, also of those that are not configured any more.
  const Counts& counts() const { return counts_; }

 private:
  /// Does it on the storage thread, and answers.
  template <class T>
  void work(std::function<Result<T>()> job, const Done<T>& done);
  /// The same for what changes the table: their number is known anew.
  template <class T>
  void change(std::function<Result<T>()> job, const Done<T>& done);
  void keep_new(const buffer::DeadLetter& letter, const Done<void>& done);
  void forget_gap(const buffer::DeadLetter& letter);
  Result<void> find_room(const buffer::DeadLetter& letter, const buffer::DeadLetterLimits& limits) const;
  void put(buffer::DeadLetter letter, const Done<void>& done);
  void end_retry(const buffer::DeadLetter& letter, const Result<void>& sent, const Done<void>& done);
  Result<void> record_gap(const std::string& uplink, const uplink::RefusedRecord& record);

  Parts parts_;
  Counts counts_;
  std::map<std::string, buffer::DeadLetterCount> under_way_;                      // by uplink
  std::map<std::pair<std::string, Stream>, std::deque<Position>> gaps_;           // recorded, and no letter yet
  std::map<std::pair<std::string, std::uint64_t>, std::weak_ptr<void>> retried_;  // by uplink and id
};

}  // namespace tidegate::daemon
