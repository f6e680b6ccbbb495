#include "daemon/admin/login_limits.h"

#include <algorithm>

namespace tidegate::daemon {

bool LoginLimits::is_known(const std::string& from, const std::string& digest) const {
  return std::find(known_.begin(), known_.end(), std::pair(from, digest)) != known_.end();
}

void LoginLimits::note_failure(const std::string& from, const std::string& digest, BootTime now) {
  limits_.take(from, now);
  if (known_.size() >= kKnownMax) known_.pop_front();
  known_.emplace_back(from, digest);
}

}  // namespace tidegate::daemon
