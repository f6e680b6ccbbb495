#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/index_set.h"
#include "core/reading.h"
#include "core/tag.h"
#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

/// One who listens to /api/v1/live: what is still to be told, and the server-sent events that tell it. State, not a
/// stream: of a tag a bit says that it has changed, of the status there is the newest; only alarms wait one by one, so
/// many at most. A piece is made when the one before has left, so a slow reader skips to the latest. Core thread; the
/// registry outlives it.
class LiveClient final : public AdminStream {
 public:
  using Text = std::shared_ptr<const std::string>;  // the same for all clients

  /// An empty glob is all tags. What is known of them already is told first.
  LiveClient(const TagRegistry& tags, std::string tag_glob) : tags_(tags), glob_(std::move(tag_glob)) {}

  void next(Give give) override;

  /// By tag id.
  void note_changed(const IndexSet& changed) { pending_.merge(changed, left_out_); }
  void note_alarm(Text document);
  void note_status(Text status) { status_ = std::move(status); }
  void note_heartbeat() { heartbeat_ = true; }
  /// Gives what there is, if the peer has taken what came before. `latest`: see Normaliser.
  void tell(const std::vector<Reading>& latest);
  /// Nothing comes any more.
  void end();

  static constexpr std::size_t kReadingsOfPiece = 100;
  static constexpr std::size_t kAlarmsMax = 256;

 private:
  void look_at_new_tags();
  void append_alarms(std::string& piece);
  void append_readings(std::string& piece, const std::vector<Reading>& latest);

  const TagRegistry& tags_;
  const std::string glob_;
  IndexSet pending_;
  IndexSet left_out_;           // by the glob
  std::size_t looked_at_ = 0;   // tags below this are in `left_out_` if they belong there
  std::size_t next_index_ = 0;  // goes round, so that no tag waits for others that change all the time
  std::deque<Text> alarms_;
  std::uint64_t alarms_missed_ = 0;
  Text status_;
  bool heartbeat_ = false;
  bool is_new_ = true;
  bool has_ended_ = false;
  Give give_;
};

}  // namespace tidegate::daemon
