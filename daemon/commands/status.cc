#include <algorithm>
#include <iostream>

#include "daemon/admin_server.h"
#include "daemon/commands/ask.h"
#include "daemon/config/admin_address.h"
#include "daemon/status_text.h"

namespace tidegate::daemon {

Result<AdminAddress> find_daemon(const DaemonLocation& location) {
  if (!location.admin.empty()) {
    return parse_admin_address(location.admin).map_error([](const Error& error) {
      return Error{error.code, "--admin " + error.message};
    });
  }
  const auto gateway = load_gateway_options(location.config_file);
  if (!gateway) {
    const auto& problems = gateway.error();
    const auto wrong = std::find_if(problems.begin(), problems.end(),
                                    [](const Problem& problem) { return problem.kind == ProblemKind::error; });
    return fail(ErrorCode::invalid, "cannot take the admin address from the configuration, --admin gives it: " +
                                        format_problem(wrong == problems.end() ? problems.front() : *wrong));
  }
  if (gateway->admin.kind == AdminAddress::Kind::off) {
    return fail(ErrorCode::invalid, location.config_file + ": gateway.admin is off, so the daemon cannot be asked");
  }
  return gateway->admin;
}

int show_status(const DaemonLocation& location, bool json) {
  const auto address = find_daemon(location);
  if (!address) return report_failure(address.error().message);
  const auto answer = admin_get(*address, "/api/v1/status");
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
