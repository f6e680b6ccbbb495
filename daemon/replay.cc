#include "daemon/replay.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "daemon/json_writer.h"
#include "daemon/offset.h"

namespace tidegate::daemon {

void Replay::move(UplinkRunner& uplink, Stream stream, Position to, const Done& done) {
  if (busy_) return done(fail(ErrorCode::retry, "another replay is under way, ask again when it is answered"));
  if (parts_.pipeline->is_stalled()) {
    return done(fail(ErrorCode::retry, "the log takes no records now: " + parts_.pipeline->stall_reason()));
  }
  busy_ = true;
  const uplink::CursorMove move = uplink.plan_move(stream, to);
  const auto gaps = gap_records(uplink, stream, move, *parts_.log, parts_.clock->wall_now());
  log_warning("uplink", "{}: {} goes on at {}: {} records are given again, {} are skipped", uplink.name(),
              to_string(stream), format_position(move.to), move.replayed, move.skipped);
  // No checkpoint saves the new cursor before the gap records are durable.
  parts_.checkpointer->hold(true);
  uplink.move(stream, move);
  for (const auto& gap : gaps) parts_.pipeline->record_event(gap);
  parts_.after_turn();
  parts_.keeper->sync_all([this, move, done] { save(move, done); });
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

std::vector<std::string> Replay::gap_records(const UplinkRunner& uplink, Stream stream, const uplink::CursorMove& move,
                                             const buffer::RingLog& log, WallTime now) {
  const auto cursor = uplink.forwarder().cursor(stream);
  const std::uint64_t acked = log.sequence_of(stream, cursor.acked_to);
  const std::uint64_t passed = log.sequence_of(stream, cursor.passed_to);
  std::vector<std::string> records;
  for (const auto& epoch : log.state().epochs) {
    if (epoch.stream != stream) continue;
    const std::uint64_t first = std::max(epoch.first, acked);
    const std::uint64_t end = std::min(epoch.last + 1, move.to.sequence);
    if (first >= end) continue;
    const std::uint64_t skipped = end > std::max(first, passed) ? end - std::max(first, passed) : 0;
    std::string record;
    JsonWriter json(record);
    json.begin_object().member("event", "gap").member("stream", to_string(stream)).member("epoch", epoch.epoch);
    json.member("first", first).member("last", end - 1).member("count", skipped).member("reason", "skipped");
    json.member("uplink", uplink.name());
    json.member("time", std::int64_t{std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count()});
    json.end_object();
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace tidegate::daemon
