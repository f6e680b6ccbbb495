#include "daemon/admin/admin_api.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/parse_whole.h"
#include "core/text.h"
#include "daemon/admin/alarms_api.h"
#include "daemon/admin/dead_letters_api.h"
#include "daemon/admin/live_status.h"
#include "daemon/admin/reload_api.h"
#include "daemon/admin/replay_api.h"
#include "daemon/admin/status_page.h"
#include "daemon/disk_feed.h"
#include "daemon/find_place.h"
#include "daemon/gateway.h"
#include "daemon/json_writer.h"
#include "daemon/metrics.h"
#include "daemon/offset.h"
#include "daemon/record_json.h"
#include "daemon/status.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kRecordsMax = 1'000;        // of one answer
constexpr std::size_t kAnswerBytesMax = 1 << 20;  // about: ends behind the record that passes it
// Of one answer too, whether they match or not: the core thread has more to do. Who asked goes on at `next`.
constexpr std::size_t kLooksMax = 50'000;

std::string member_of(const AdminRequest& request, const std::string& name, std::string fallback) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::move(fallback) : found->second;
}

// Collects the records of one answer, from memory or from disk, until it is full or the log ends.
class RecordsAnswer : public std::enable_shared_from_this<RecordsAnswer> {
 public:
  RecordsAnswer(Gateway& gateway, Stream stream, std::string tag, std::size_t limit, AdminRespond respond)
      : gateway_(gateway),
        stream_(stream),
        tag_(std::move(tag)),
        limit_(limit),
        respond_(std::move(respond)),
        json_(gateway.tags()),
        feed_(gateway.log(), stream, gateway.storage(), gateway.loop()) {}

  void read_from(Position from) {
    next_ = from;
    while (!is_full()) {
      const auto outcome = gateway_.log().read(stream_, next_);
      if (outcome.status == buffer::ReadStatus::on_disk) {
        feed_.read(next_, [self = shared_from_this()](const Result<DiskFeed::Outcomes>& read) { self->on_read(read); });
        return;
      }
      if (!take(outcome)) break;
    }
    finish();
  }

 private:
  bool is_full() const { return records_ >= limit_ || body_.size() >= kAnswerBytesMax || looks_ >= kLooksMax; }

  void on_read(const Result<DiskFeed::Outcomes>& read) {
    if (!read) {
      respond_(refuse(500, read.error().message));
      return;
    }
    for (const auto& outcome : *read) {
      if (is_full() || !take(outcome)) return finish();
    }
    read_from(next_);
  }

  bool take(const buffer::ReadOutcome& outcome) {
    if (outcome.status == buffer::ReadStatus::gone) {
      ++looks_;
      missing_ += outcome.lost;
      next_ = outcome.next;
      return true;
    }
    if (outcome.status != buffer::ReadStatus::ready) {
      at_end_ = true;
      return false;
    }
    const RecordBatch& batch = *outcome.batch;
    for (std::size_t i = 0; i < batch.size() && !is_full(); ++i) {
      next_ = {batch.epoch, batch.first + i + 1};
      ++looks_;
      if (!json_.matches(batch, i, tag_)) continue;
      if (records_++ > 0) body_ += ',';
      json_.append(body_, batch, i);
    }
    return true;
  }

  void finish() {
    AdminResponse response;
    JsonWriter json(response.body);
    json.begin_object().key("records").raw("[" + body_ + "]");
    json.member("next", format_position(next_)).member("end", at_end_);
    if (missing_ > 0) json.member("missing", missing_);
    json.end_object();
    respond_(std::move(response));
  }

  Gateway& gateway_;
  Stream stream_;
  std::string tag_;
  std::size_t limit_;
  AdminRespond respond_;
  RecordJson json_;
  DiskFeed feed_;
  std::string body_;
  std::size_t records_ = 0;
  std::size_t looks_ = 0;
  std::uint64_t missing_ = 0;
  Position next_;
  bool at_end_ = false;
};

// Says of a place that lies behind the end of the log that it does; empty where it does not.
std::string why_beyond(const buffer::RingLog& log, Stream stream, const buffer::ReadPlace& place) {
  const Position end = log.end(stream);
  const bool is_beyond = (place.kind == buffer::ReadPlace::Kind::position && place.position > end) ||
                         (place.kind == buffer::ReadPlace::Kind::sequence && place.position.sequence > end.sequence);
  if (!is_beyond) return "";
  return std::string("lies beyond the log: the stream ") + to_string(stream) + " holds " +
         format_position(log.oldest(stream)) + " up to " + format_position(end) + ", where the next record will be";
}

LiveSources sources_of(Gateway& gateway) {
  LiveSources sources;
  sources.status = [&gateway] { return render_live_status(gateway); };
  sources.latest = [&gateway]() -> const auto& { return gateway.pipeline().normaliser().latest(); };
  sources.watch = [&gateway](PipelineWatcher* watcher) { gateway.set_watcher(watcher); };
  return sources;
}

}  // namespace

AdminApi::AdminApi(Gateway& gateway, const AdminRefusals& refusals)
    : gateway_(gateway), refusals_(refusals), live_(gateway.loop(), gateway.tags(), sources_of(gateway)) {}

void AdminApi::answer(const AdminRequest& request, const AdminRespond& respond) {
  if (is_replay_path(request.path)) return answer_replay(gateway_, request, respond);
  if (is_alarm_action_path(request.path)) return answer_alarm_action(gateway_, request, respond);
  if (is_reload_path(request.path)) return answer_reload(gateway_, request, respond);
  if (is_dead_letters_path(request.path)) return answer_dead_letters(gateway_, request, respond);
  if (request.path == "/api/v1/live") return live_.answer(request, respond);
  if (request.method != "GET" && request.method != "HEAD") return respond(refuse(405, "only GET is answered here"));
  if (auto file = find_page_file(request.path)) return respond(std::move(*file));
  AdminResponse response;
  if (request.path == "/healthz") {
    if (!gateway_.makes_progress()) return respond(refuse(503, "the disk does not answer"));
    response.body = "{\"status\":\"ok\"}";
  } else if (request.path == "/readyz") {
    if (!gateway_.is_ready()) return respond(refuse(503, "not ready"));
    if (gateway_.pipeline().is_stalled()) return respond(refuse(503, gateway_.pipeline().stall_reason()));
    response.body = "{\"status\":\"ready\"}";
  } else if (request.path == "/metrics") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = render_metrics(gateway_, refusals_);
  } else if (request.path == "/api/v1/status") {
    response.body = render_status(gateway_);
  } else if (request.path == "/api/v1/readings/latest") {
    response.body = render_latest(gateway_);
  } else if (request.path == "/api/v1/alarms") {
    response.body = render_alarms(gateway_);
  } else if (request.path == "/api/v1/records") {
    return answer_records(request, respond);
  } else {
    return respond(refuse(404,
                          "known are / /healthz /readyz /metrics /api/v1/status /api/v1/readings/latest "
                          "/api/v1/alarms /api/v1/records /api/v1/live /api/v1/deadletters /api/v1/reload, and POST "
                          "/api/v1/alarms/ALARM/ack "
                          "/api/v1/alarms/ALARM/shelve /api/v1/alarms/ALARM/unshelve /api/v1/uplinks/NAME/replay "
                          "/api/v1/deadletters/drop /api/v1/deadletters/retry /api/v1/deadletters/put /api/v1/reload"));
  }
  respond(std::move(response));
}

void AdminApi::answer_records(const AdminRequest& request, const AdminRespond& respond) {
  const auto stream = parse_stream(member_of(request, "stream", "readings"));
  if (!stream) {
    return respond(
        refuse(400, "stream \"" + clip(member_of(request, "stream", "")) + "\": allowed are readings, alarms, events"));
  }
  const std::string limit_text = member_of(request, "limit", "1000");
  const auto limit = parse_whole<std::size_t>(limit_text);
  if (!limit || *limit == 0 || *limit > kRecordsMax) {
    return respond(refuse(400, "limit \"" + clip(limit_text) + "\": a whole number from 1 to 1000"));
  }
  const std::string from = member_of(request, "from", "oldest");
  const WallTime now = gateway_.clock().wall_now();
  const auto place = parse_offset(from, now);
  if (!place) return respond(refuse(400, place.error().message));
  if (const auto why = why_beyond(gateway_.log(), *stream, *place); !why.empty()) {
    return respond(refuse(400, "from " + clip(from) + " " + why));
  }
  const auto answer =
      std::make_shared<RecordsAnswer>(gateway_, *stream, member_of(request, "tag", ""), *limit, respond);
  // Places that need no look at the disk, which is every one but the first of those who read on.
  if (place->kind == buffer::ReadPlace::Kind::position) return answer->read_from(place->position);
  if (place->kind == buffer::ReadPlace::Kind::end) return answer->read_from(gateway_.log().end(*stream));
  find_place(gateway_.log(), gateway_.storage(), gateway_.loop(), *stream, *place,
             [this, stream = *stream, from, ahead = place->time > now, answer, respond](const auto& found) {
               if (!found) return respond(refuse(500, found.error().message));
               // Records may be of a time that the clock says is still to come, if it was set back.
               if (ahead && !*found) {
                 return respond(refuse(
                     400, "from " + clip(from) + " lies in the future: no record was taken in at that time or later"));
               }
               answer->read_from(found->value_or(gateway_.log().end(stream)));
             });
}

}  // namespace tidegate::daemon
