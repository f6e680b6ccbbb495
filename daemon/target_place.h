#pragma once

#include <memory>
#include <optional>
#include <string>

#include "buffer/ring_log.h"
#include "daemon/start_marks.h"
#include "uplink/target_cursor.h"

namespace tidegate::daemon {

/// Where an uplink's streams go on by what its target has.
class TargetPlaces {
 public:
  /// `marks` are those of `log`.
  TargetPlaces(const buffer::RingLog& log, const StartMarks& marks, uplink::TargetCursor cursor);

  /// Nothing where the uplink's own cursor is what counts.
  std::optional<Position> place(Stream stream) const;
  /// What is to be said about it, if there is something.
  const std::string& remark() const { return remark_; }

 private:
  enum class Kin : std::uint8_t { same, older_copy, stranger };
  const buffer::RingLog& log_;
  const uplink::TargetCursor cursor_;
  Kin kin_ = Kin::same;
  StartMarks::Ends parted_{};  // of an older copy: what came before, the target has
  std::string remark_;
  std::unique_ptr<const TargetPlaces> earlier_;  // of streams of which nothing has come to the cursor since
};

}  // namespace tidegate::daemon
