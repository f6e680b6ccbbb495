#include "daemon/commands/ask.h"

#include <algorithm>
#include <cstdlib>

#include "core/text.h"
#include "daemon/config/admin_address.h"
#include "daemon/config/files.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kTokenFileBytesMax = 4096;

// A token that a header could not hold would be told by the daemon as a wrong request, and not as a wrong token.
Result<std::string> checked_token(std::string token, const std::string& where) {
  const bool is_right = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (is_right && !token.empty()) return token;
  return fail(ErrorCode::invalid, where + " has no token: it has to be printable ASCII without spaces" +
                                      (token.empty() ? ", not empty" : ""));
}

Result<std::string> find_token(const DaemonLocation& location) {
  if (!location.token_file.empty()) {
    auto content = read_small_file(location.token_file, kTokenFileBytesMax);
    if (!content) return fail(ErrorCode::invalid, "--token-file: " + content.error().message);
    std::string line = content->substr(0, content->find('\n'));
    if (line.ends_with('\r')) line.pop_back();
    return checked_token(std::move(line), "--token-file " + location.token_file);
  }
  const char* const given = std::getenv("TIDEGATE_TOKEN");
  if (given == nullptr || *given == '\0') return std::string();
  return checked_token(given, "the environment variable TIDEGATE_TOKEN");
}

// Nobody is at the address that stands for all of them.
void reach_here(AdminAddress& address) {
  if (address.host == "0.0.0.0") address.host = "127.0.0.1";
  if (address.host == "::") address.host = "::1";
}

Result<AdminDoor> door_of_configuration(const DaemonLocation& location) {
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
  AdminDoor door(gateway->admin);
  reach_here(door.address);
  door.is_tls = !gateway->admin_tls.certificate.empty();
  if (location.ca_file.empty()) door.certificate_file = gateway->admin_tls.certificate;
  return door;
}

Result<AdminDoor> door_of_address(const DaemonLocation& location) {
  auto address = parse_admin_address(location.admin);
  if (!address) return fail(address.error().code, "--admin " + address.error().message);
  AdminDoor door(std::move(*address));
  // Off this machine there is no daemon without it, and nobody is shown a token in the clear.
  door.is_tls = is_reached_by_others(door.address) || !location.ca_file.empty();
  return door;
}

}  // namespace

Result<AdminDoor> find_daemon(const DaemonLocation& location) {
  auto door = location.admin.empty() ? door_of_configuration(location) : door_of_address(location);
  if (!door) return door;
  if (!location.ca_file.empty() && !door->is_tls) {
    return fail(ErrorCode::invalid, "--admin-ca is of no use: the configuration has no gateway.admin_tls");
  }
  if (door->is_tls && door->address.kind != AdminAddress::Kind::tcp) {
    return fail(ErrorCode::invalid, "--admin-ca does not go with a Unix socket");
  }
  door->ca_file = location.ca_file;
  auto token = find_token(location);
  if (!token) return tl::unexpected(token.error());
  door->token = std::move(*token);
  return door;
}

std::string not_understood(std::string_view answer) {
  constexpr std::size_t kShownBytes = 300;
  return "the daemon's answer is not what this version understands: " + clip(answer, kShownBytes);
}

}  // namespace tidegate::daemon
