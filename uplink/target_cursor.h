#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/record.h"

namespace tidegate::uplink {

/// Which records a log's positions stand for. Another log has the same positions for other records, and so has one of
/// which an older copy came back and that went on from there.
struct LogHistory {
  std::string log;  // its id, hexadecimal
  /// A mark for each of the newest starts of its gateway, rising: the start's number, shifted left by 32, and what was
  /// drawn by lot then.
  std::vector<std::uint64_t> starts;
  bool operator==(const LogHistory&) const = default;
};

constexpr std::uint32_t number_of_start(std::uint64_t mark) { return static_cast<std::uint32_t>(mark >> 32U); }

using Positions = std::map<Stream, Position>;

/// How far an uplink is by what its target says: kept there in one transaction with the records, so that it is never
/// ahead of them nor behind.
struct TargetCursor {
  /// What stood there before the log came back as an older copy, or another one, of streams of which nothing has come
  /// since.
  struct Earlier {
    LogHistory history;
    Positions next;
    bool operator==(const Earlier&) const = default;
  };

  LogHistory history;
  std::string instance;  // of the process that wrote it
  Positions next{};      // the first record that the target does not have
  std::optional<Earlier> earlier{};
  bool operator==(const TargetCursor&) const = default;
};

/// Whether the cursor's places are places of that log, as it is now. Of a log that knows no start as old as the
/// cursor's newest, which is so if the uplink was away for long, it is taken for granted.
bool is_of(const TargetCursor& cursor, const LogHistory& log);
/// The mark of the newest start that both have had; nothing when none is known of both.
std::optional<std::uint64_t> last_common_start(const LogHistory& one, const LogHistory& other);

/// Makes `cursor`, whose history is that of the log, go on from what the target has; nothing: from no place.
void go_on_from(const std::optional<TargetCursor>& found, TargetCursor& cursor);
/// The target has what is before `next`.
void move_to(TargetCursor& cursor, Stream stream, Position next);

/// By which a process knows its own cursor from that of another.
std::string draw_instance();
/// Who was taken over from says so, and stops. `where` it is: "cluster".
std::string describe_successor(std::string_view where, std::string_view gateway, std::string_view uplink,
                               std::string_view instance);

/// One line of JSON.
std::string to_json(const TargetCursor& cursor);
/// Error `invalid` when it is not what to_json() writes; members that are not known are passed over.
Result<TargetCursor> parse_target_cursor(std::string_view json);

}  // namespace tidegate::uplink
