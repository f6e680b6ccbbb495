#include "daemon/dead_letters.h"

#include <chrono>
#include <memory>
#include <utility>

#include "daemon/json_writer.h"
#include "daemon/space_keeper.h"
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

void DeadLetters::keep(const std::string& uplink, const uplink::RefusedRecord& record, std::uint32_t most,
                       const Done<void>& done) {
  if (of(uplink).count + under_way_[uplink] >= most) {
    return done(fail(ErrorCode::full, "there are " + std::to_string(most) +
                                          " dead letters of it already, dead_letters_max: look at them with `tidegate "
                                          "deadletter ls`, correct what is refused, and drop them"));
  }
  if (auto recorded = record_gap(uplink, record); !recorded) return done(recorded);
  ++under_way_[uplink];
  buffer::DeadLetter letter{
      0, uplink, record.stream, record.at, parts_.clock->wall_now(), record.answer, record.record};
  const auto answer = [this, uplink, done](const Result<void>& kept) {
    --under_way_[uplink];
    done(kept);
  };
  parts_.keeper->sync_all([this, letter = std::move(letter), answer](bool ok) {
    if (ok) return put(letter, answer);
    answer(fail(ErrorCode::retry, "the log cannot be synced"));
  });
}

Result<void> DeadLetters::record_gap(const std::string& uplink, const uplink::RefusedRecord& record) {
  if (is_own_gap(record)) return {};
  if (parts_.pipeline->is_stalled()) {
    return fail(ErrorCode::retry, "the log takes no records now: " + parts_.pipeline->stall_reason());
  }
  const std::vector<std::string> gap{gap_record(uplink, record, parts_.clock->wall_now())};
  const auto recorded = parts_.log->append(Stream::events, gap, parts_.pipeline->now());
  if (!recorded) return fail(ErrorCode::retry, "the log takes no records now: " + recorded.error().message);
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
  parts_.storage->post([this, job = std::move(job), done] {
    auto result = std::make_shared<Result<T>>(job());
    parts_.loop->post([result, done] { done(*result); });
  });
}

template <class T>
void DeadLetters::change(std::function<Result<T>()> job, const Done<T>& done) {
  auto counts = std::make_shared<Result<Counts>>();
  work<T>(
      [this, job = std::move(job), counts] {
        auto result = job();
        *counts = parts_.store->count();
        return result;
      },
      [this, counts, done](const Result<T>& result) {
        if (*counts) counts_ = std::move(**counts);
        done(result);
      });
}

void DeadLetters::list(const std::string& uplink, std::uint64_t after, std::size_t limit,
                       const Done<std::vector<buffer::DeadLetter>>& done) {
  work<std::vector<buffer::DeadLetter>>(
      [store = parts_.store, uplink, after, limit] { return store->list(uplink, after, limit); }, done);
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
