#include "daemon/replay.h"

#include <algorithm>
#include <utility>

#include "core/counted.h"
#include "core/log.h"
#include "daemon/json_writer.h"
#include "daemon/offset.h"

namespace tidegate::daemon {

void Replay::move(UplinkRunner& uplink, Stream stream, Position to, const Done& done) {
  if (busy_) return done(fail(ErrorCode::retry, "another replay is under way, ask again when it is answered"));
  if (parts_.pipeline->is_stalled()) {
    return done(fail(ErrorCode::retry, "the log takes no records now: " + parts_.pipeline->stall_reason()));
  }
  const uplink::CursorMove move = uplink.plan_move(stream, to);
  const auto gaps = gap_records(uplink, stream, move, *parts_.log, parts_.clock->wall_now());
  const Position from = uplink.forwarder().cursor(stream).acked_to;
  if (!gaps.empty()) {
    const auto recorded = parts_.log->append(Stream::events, gaps, parts_.pipeline->now());
    if (!recorded) return done(fail(ErrorCode::retry, "the log takes no records now: " + recorded.error().message));
  }
  busy_ = true;
  log_warning("uplink", "{}: {} goes on at {}: {} given again, {} skipped", uplink.name(), to_string(stream),
              format_position(move.to), counted(move.replayed, "record"), move.skipped);
  // No checkpoint saves the new cursor before the gap records are durable.
  parts_.checkpointer->hold(true);
  uplink.move(stream, move);
  parts_.after_turn();
  // Going back leaves nothing out: it needs no gap record.
  parts_.keeper->sync_all([this, &uplink, stream, from, move, done, needed = !gaps.empty()](bool ok) {
    if (ok || !needed) return save(move, done);
    put_back(uplink, stream, from, done);
  });
}

std::optional<std::string> Replay::question(const UplinkRunner& uplink, Stream stream, const uplink::CursorMove& move) {
  if (move.skipped == 0) return std::nullopt;
  const Position stands = uplink.open_stretches(stream).front().cursor.passed_to;
  return "uplink " + uplink.name() + " stands at " + format_position(stands) + " of " + to_string(stream) +
         ", before " + format_position(move.to) + ": " + counted(move.skipped, "record") +
         " in between, not delivered yet, would be skipped and never be sent to it";
}

// A restart would go on behind what no durable record names. What was counted as skipped is counted as replayed now.
void Replay::put_back(UplinkRunner& uplink, Stream stream, Position from, const Done& done) {
  const auto failure = parts_.log->failure();
  uplink.move(stream, uplink.plan_move(stream, from));
  parts_.checkpointer->hold(false);
  busy_ = false;
  log_warning("uplink", "{}: {} goes on at {} again: the gap record of the replay cannot be made durable",
              uplink.name(), to_string(stream), format_position(from));
  done(fail(ErrorCode::retry, "the log cannot be synced, the cursor is where it was" +
                                  (failure ? ": " + failure->message : std::string())));
}

void Replay::save(const uplink::CursorMove& move, const Done& done) {
  parts_.checkpointer->save_now([this, move, done](bool ok) {
    parts_.checkpointer->hold(false);
    busy_ = false;
    if (ok) return done(move);
    done(fail(ErrorCode::retry, "the cursor is moved, but could not be saved: a restart goes on at the old place: " +
                                    parts_.checkpointer->failure()));
  });
}

// For each epoch of what is open before the place: from the end of what was acknowledged.
std::vector<std::string> Replay::gap_records(const UplinkRunner& uplink, Stream stream, const uplink::CursorMove& move,
                                             const buffer::RingLog& log, WallTime now) {
  std::vector<std::string> records;
  for (const auto& open : uplink.open_stretches(stream)) {
    const std::uint64_t acked = log.sequence_of(stream, open.cursor.acked_to);
    const std::uint64_t passed = log.sequence_of(stream, open.cursor.passed_to);
    const std::uint64_t open_end = std::min(log.sequence_of(stream, open.end), move.to.sequence);
    for (const auto& epoch : log.state().epochs) {
      if (epoch.stream != stream) continue;
      const std::uint64_t first = std::max(epoch.first, acked);
      const std::uint64_t end = std::min(epoch.last + 1, open_end);
      if (first >= end) continue;
      // What the log has given up is named by records of its own.
      const std::uint64_t skipped =
          log.distance(stream, log.position_of(stream, std::max(first, passed)), log.position_of(stream, end));
      std::string record;
      JsonWriter json(record);
      json.begin_object().member("event", "gap").member("stream", to_string(stream)).member("epoch", epoch.epoch);
      json.member("first", first).member("last", end - 1).member("count", skipped).member("reason", "skipped");
      json.member("uplink", uplink.name());
      json.member("time", std::int64_t{std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count()});
      json.end_object();
      records.push_back(std::move(record));
    }
  }
  return records;
}

}  // namespace tidegate::daemon
