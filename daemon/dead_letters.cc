#include "daemon/dead_letters.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "daemon/json_writer.h"
#include "daemon/space_keeper.h"
#include "daemon/work_on.h"
#include "uplink/accounting.h"

namespace tidegate::daemon {
namespace {

std::string gap_record(const std::string& uplink, const uplink::RefusedRecord& record, WallTime now) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("event", "gap").member("stream", to_string(record.stream));
  json.member("epoch", record.at.epoch).member("first", record.at.sequence).member("last", record.at.sequence);
  json.member("count", std::uint64_t{1}).member("reason", uplink::kDeadLetter).member("uplink", uplink);
  json.member("time", std::int64_t{std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count()});
  json.end_object();
  return text;
}

// Where a target refuses these records themselves, each would be followed by the next.
bool is_own_gap(const uplink::RefusedRecord& record) {
  return record.stream == Stream::events && record.record.find("\"reason\":\"dead-letter\"") != std::string::npos;
}

}  // namespace

void DeadLetters::keep(const std::string& uplink, const uplink::RefusedRecord& record,
                       const buffer::DeadLetterLimits& limits, const Done<void>& done) {
  const buffer::DeadLetter letter{
      0, uplink, record.stream, record.at, parts_.clock->wall_now(), record.answer, record.record};
  const auto find = [store = parts_.store, letter] { return store->has(letter.uplink, letter.stream, letter.at); };
  work<bool>(find, [this, letter, record, limits, done](const Result<bool>& is_there) {
    if (!is_there) return done(tl::unexpected(is_there.error()));
    if (*is_there) return put(letter, done);
    if (const auto room = find_room(letter, limits); !room) return done(room);
    if (const auto recorded = record_gap(letter.uplink, record); !recorded) return done(recorded);
    keep_new(letter, done);
  });
}

Result<void> DeadLetters::find_room(const buffer::DeadLetter& letter, const buffer::DeadLetterLimits& limits) const {
  const auto there = of(letter.uplink);
  const auto found = under_way_.find(letter.uplink);
  const auto coming = found == under_way_.end() ? buffer::DeadLetterCount{} : found->second;
  const std::string advice =
      ": look at them with `tidegate deadletter ls`, correct what is refused, and send them again with `tidegate "
      "deadletter retry` or drop them";
  if (there.count + coming.count >= limits.count) {
    return fail(ErrorCode::full,
                "there are " + std::to_string(limits.count) + " dead letters of it already, dead_letters_max" + advice);
  }
  if (there.bytes + coming.bytes + bytes_of(letter) > limits.bytes) {
    return fail(ErrorCode::full, "with this one of " + std::to_string(bytes_of(letter)) +
                                     " bytes the dead letters of it were more than the " +
                                     std::to_string(limits.bytes) + " bytes of dead_letters_size" + advice);
  }
  return {};
}

void DeadLetters::keep_new(const buffer::DeadLetter& letter, const Done<void>& done) {
  auto& coming = under_way_[letter.uplink];
  ++coming.count;
  coming.bytes += bytes_of(letter);
  const auto answer = [this, letter, done](const Result<void>& kept) {
    --under_way_[letter.uplink].count;
    under_way_[letter.uplink].bytes -= bytes_of(letter);
    if (kept) forget_gap(letter);
    done(kept);
  };
  parts_.keeper->sync_all([this, letter, answer](bool ok) {
    if (ok) return put(letter, answer);
    answer(fail(ErrorCode::retry, "the log cannot be synced"));
  });
}

void DeadLetters::forget_gap(const buffer::DeadLetter& letter) {
  std::erase(gaps_[{letter.uplink, letter.stream}], letter.at);
}

// What could not be kept behind its gap record comes again, and needs no second one. There is one such record for each
// lane, and some that the cursor was moved away from.
Result<void> DeadLetters::record_gap(const std::string& uplink, const uplink::RefusedRecord& record) {
  if (is_own_gap(record)) return {};
  constexpr std::size_t kMost = 64;
  auto& recorded_before = gaps_[{uplink, record.stream}];
  const auto end = recorded_before.end();
  if (std::find(recorded_before.begin(), end, record.at) != end) return {};
  if (parts_.pipeline->is_stalled()) {
    return fail(ErrorCode::retry, "the log takes no records now: " + parts_.pipeline->stall_reason());
  }
  const std::vector<std::string> gap{gap_record(uplink, record, parts_.clock->wall_now())};
  const auto recorded = parts_.log->append(Stream::events, gap, parts_.pipeline->now());
  if (!recorded) return fail(ErrorCode::retry, "the log takes no records now: " + recorded.error().message);
  recorded_before.push_back(record.at);
  if (recorded_before.size() > kMost) recorded_before.pop_front();
  return {};
}

void DeadLetters::put(buffer::DeadLetter letter, const Done<void>& done) {
  change<void>(
      [store = parts_.store, reserve = parts_.reserve, letter = std::move(letter)] {
        return buffer::with_room(*reserve, SpaceKeeper::kForState, [&] { return store->put(letter); });
      },
      done);
}

template <class T>
void DeadLetters::work(std::function<Result<T>()> job, const Done<T>& done) {
  work_on(*parts_.storage, *parts_.loop, std::move(job), done);
}

template <class T>
void DeadLetters::change(std::function<Result<T>()> job, const Done<T>& done) {
  auto counts = std::make_shared<Counts>();
  work<T>(
      [this, job = std::move(job), counts] {
        auto result = job();
        *counts = parts_.store->counts();
        return result;
      },
      [this, counts, done](const Result<T>& result) {
        counts_ = std::move(*counts);
        done(result);
      });
}

void DeadLetters::list(const std::string& uplink, std::uint64_t after, std::size_t limit,
                       const Done<buffer::DeadLetterPage>& done) {
  work<buffer::DeadLetterPage>(
      [store = parts_.store, uplink, after, limit] { return store->list(uplink, after, limit); }, done);
}

// Who comes second would find it before it is removed. An uplink that is gone answers nobody, and forgets who asks.
void DeadLetters::retry(const std::string& uplink, std::uint64_t id, const Send& send, const Done<void>& answer) {
  const std::pair key(uplink, id);
  if (!retried_[key].expired()) {
    return answer(fail(ErrorCode::retry, "dead letter " + std::to_string(id) + " of " + uplink +
                                             " is on its way already, as somebody else has asked for"));
  }
  const auto turn = std::make_shared<int>();
  retried_[key] = turn;
  const Done<void> done = [this, key, turn, answer](const Result<void>& sent) {
    retried_.erase(key);
    answer(sent);
  };
  using Found = std::optional<buffer::DeadLetter>;
  work<Found>(
      [store = parts_.store, uplink, id] { return store->find(uplink, id); },
      [this, uplink, id, send, done](const Result<Found>& found) {
        if (!found) return done(tl::unexpected(found.error()));
        if (!*found) {
          return done(
              fail(ErrorCode::invalid, "there is no dead letter " + std::to_string(id) + " of an uplink " + uplink));
        }
        send(**found, [this, letter = **found, done](const Result<void>& sent) { end_retry(letter, sent, done); });
      });
}

// After a crash before it is removed it may be sent once more, with the same epoch and seq.
void DeadLetters::end_retry(const buffer::DeadLetter& letter, const Result<void>& sent, const Done<void>& done) {
  if (sent) {
    return drop(letter.uplink, std::vector<std::uint64_t>{letter.id}, [done](const Result<std::uint64_t>& removed) {
      if (removed) return done({});
      done(fail(ErrorCode::retry, "it is delivered, and cannot be removed: " + removed.error().message));
    });
  }
  if (sent.error().code != ErrorCode::give_up_item) return done(sent);
  buffer::DeadLetter renewed = letter;
  renewed.reason = sent.error().message;
  // It may have been dropped meanwhile.
  const auto renew = [store = parts_.store, reserve = parts_.reserve, renewed]() -> Result<void> {
    const auto found = store->find(renewed.uplink, renewed.id);
    if (!found) return tl::unexpected(found.error());
    if (!*found) return {};
    return buffer::with_room(*reserve, SpaceKeeper::kForState, [&] { return store->put(renewed); });
  };
  change<void>(renew, [sent, done](const Result<void>&) { done(sent); });
}

void DeadLetters::drop(const std::string& uplink, const std::optional<std::vector<std::uint64_t>>& ids,
                       const Done<std::uint64_t>& done) {
  change<std::uint64_t>(
      [store = parts_.store, uplink, ids] { return ids ? store->drop(uplink, *ids) : store->drop_all(uplink); }, done);
}

buffer::DeadLetterCount DeadLetters::of(const std::string& uplink) const {
  const auto found = counts_.find(uplink);
  return found == counts_.end() ? buffer::DeadLetterCount{} : found->second;
}

}  // namespace tidegate::daemon
