#include "daemon/admin/live_client.h"

#include <string_view>
#include <utility>

#include "core/text.h"
#include "daemon/json_writer.h"
#include "daemon/status.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;  // about: ends behind the reading that passes it
constexpr std::size_t kLooksOfPiece = 4'096;    // at tags, for the glob: the core thread has more to do
constexpr std::string_view kHello = "retry: 2000\n\n";
constexpr std::string_view kHeartbeat = ":\n\n";

// JSON texts have no line ends.
void append_event(std::string& piece, std::string_view event, std::string_view json) {
  piece += "event: ";
  piece += event;
  piece += "\ndata: ";
  piece += json;
  piece += "\n\n";
}

}  // namespace

void LiveClient::next(Give give) {
  if (has_ended_) return give("");
  if (std::exchange(is_new_, false)) return give(std::string(kHello));
  give_ = std::move(give);
}

void LiveClient::note_alarm(Text document) {
  alarms_.push_back(std::move(document));
  if (alarms_.size() <= kAlarmsMax) return;
  alarms_missed_ += alarms_.size();
  alarms_.clear();
}

void LiveClient::tell(const std::vector<Reading>& latest) {
  look_at_new_tags();
  if (!give_) return;
  std::string piece;
  append_alarms(piece);
  if (const Text status = std::exchange(status_, nullptr)) append_event(piece, "status", *status);
  append_readings(piece, latest);
  if (std::exchange(heartbeat_, false)) piece += kHeartbeat;
  if (!piece.empty()) std::exchange(give_, nullptr)(std::move(piece));
}

void LiveClient::end() {
  has_ended_ = true;
  if (give_) std::exchange(give_, nullptr)("");
}

void LiveClient::look_at_new_tags() {
  const std::size_t end = std::min(tags_.size(), looked_at_ + kLooksOfPiece);
  for (; looked_at_ < end; ++looked_at_) {
    const auto tag = static_cast<TagId>(looked_at_);
    if (glob_.empty() || glob_matches(glob_, tags_.tag(tag).path)) {
      pending_.insert(looked_at_);
    } else {
      left_out_.insert(looked_at_);
      pending_.erase(looked_at_);
    }
  }
}

void LiveClient::append_alarms(std::string& piece) {
  if (alarms_missed_ > 0) {
    std::string json;
    JsonWriter(json).begin_object().member("alarms", std::exchange(alarms_missed_, 0)).end_object();
    append_event(piece, "missed", json);
  }
  for (; !alarms_.empty() && piece.size() < kPieceBytes; alarms_.pop_front()) {
    append_event(piece, "alarm", *alarms_.front());
  }
}

void LiveClient::append_readings(std::string& piece, const std::vector<Reading>& latest) {
  bool is_round = next_index_ == 0;
  std::string json;
  for (std::size_t count = 0; count < kReadingsOfPiece && piece.size() < kPieceBytes;) {
    const auto index = pending_.next(next_index_);
    if (!index || *index >= looked_at_) {
      if (std::exchange(is_round, true)) return;
      next_index_ = 0;
      continue;
    }
    pending_.erase(*index);
    next_index_ = *index + 1;
    if (*index >= latest.size() || latest[*index].tag == kNoTag) continue;
    json.clear();
    JsonWriter writer(json);
    put_latest(writer, latest[*index], tags_);
    append_event(piece, "reading", json);
    ++count;
  }
}

}  // namespace tidegate::daemon
