#include "daemon/link_doubt.h"

namespace tidegate::daemon {

void LinkDoubt::came_up(BootTime now) {
  if (!up_since_) up_since_ = now;
}

void LinkDoubt::went_down(BootTime now, const std::string& why) {
  if (!up_since_) return;  // it was down, and is
  short_in_row_ = now - *up_since_ < kHolds ? short_in_row_ + 1 : 0;
  up_since_.reset();
  why_ = why;
}

std::optional<BootTime> LinkDoubt::ends_at() const {
  if (!up_since_ || short_in_row_ < kShortMost) return std::nullopt;
  return *up_since_ + kHolds;
}

std::string LinkDoubt::reason(BootTime now) const {
  const auto until = ends_at();
  if (!until || now >= *until) return {};
  return "it is connected, but has lost " + std::to_string(short_in_row_) +
         " connections within a minute of having made them, and counts as up when this one has held for a minute; the "
         "last one: " +
         why_;
}

}  // namespace tidegate::daemon
