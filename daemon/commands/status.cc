#include <iostream>

#include "daemon/admin/admin_client.h"
#include "daemon/commands/ask.h"
#include "daemon/status_text.h"

namespace tidegate::daemon {

int show_status(const DaemonLocation& location, bool json) {
  const auto door = find_daemon(location);
  if (!door) return report_failure(door.error().message);
  const auto answer = admin_get(*door, "/api/v1/status");
  if (!answer) return report_failure(answer.error().message);
  if (json) {
    std::cout << *answer << '\n';
    return kExitDone;
  }
  const auto text = status_as_text(*answer);
  if (!text) return report_failure(text.error().message);
  std::cout << *text;
  return kExitDone;
}

}  // namespace tidegate::daemon
