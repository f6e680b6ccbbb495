#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/checkpointer.h"
#include "daemon/log_keeper.h"
#include "daemon/pipeline.h"
#include "daemon/uplink_runner.h"

namespace tidegate::daemon {

/// Moves the cursor of one uplink in one stream by hand: back, to give records again, or forward, to skip some. What is
/// skipped is counted as dropped, and a gap record in `events` that names the uplink says so; it is durable before the
/// cursor is. One move at a time; answered when it is durable. Core thread.
class Replay {
 public:
  struct Parts {
    buffer::RingLog* log = nullptr;
    Pipeline* pipeline = nullptr;
    LogKeeper* keeper = nullptr;
    Checkpointer* checkpointer = nullptr;
    const Clock* clock = nullptr;
    std::function<void()> after_turn;  // the log has grown
  };
  using Done = std::function<void(Result<uplink::CursorMove>)>;

  explicit Replay(Parts parts) : parts_(std::move(parts)) {}

  /// `to` lies in the log. Errors: `retry` while the log takes no records or another move is under way, then nothing
  /// has moved; when the gap records could not be made durable, then the cursor is put back and records may be given
  /// again; or when the move could not be saved.
  void move(UplinkRunner& uplink, Stream stream, Position to, const Done& done);

  /// What is to be asked before such a move: how much it would skip, from where to where; nothing where that is
  /// nothing.
  static std::optional<std::string> question(const UplinkRunner& uplink, Stream stream, const uplink::CursorMove& move);

  bool is_busy() const { return busy_; }

  /// The gap records for what a move leaves out: from the end of what was acknowledged, because nothing else tells the
  /// receiver what the filter left out since; counted is only what was skipped.
  static std::vector<std::string> gap_records(const UplinkRunner& uplink, Stream stream, const uplink::CursorMove& move,
                                              const buffer::RingLog& log, WallTime now);

 private:
  void save(const uplink::CursorMove& move, const Done& done);
  void put_back(UplinkRunner& uplink, Stream stream, Position from, const Done& done);

  Parts parts_;
  bool busy_ = false;
};

}  // namespace tidegate::daemon
