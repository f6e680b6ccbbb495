#include "daemon/config/admin_address.h"

#include <sys/un.h>

#include "core/shown_address.h"
#include "daemon/config/host_port.h"

namespace tidegate::daemon {
namespace {

tl::unexpected<Error> wrong(const std::string& wanted, const std::string& found) {
  return fail(ErrorCode::invalid, "must " + wanted + ", found \"" + shown_address(found) + "\"");
}

}  // namespace

Result<AdminAddress> parse_admin_address(const std::string& text) {
  if (text.empty()) return AdminAddress{};
  if (text.starts_with("unix:")) {
    const std::string path = text.substr(5);
    if (!path.empty() && path.size() < sizeof(sockaddr_un::sun_path)) {
      return AdminAddress{AdminAddress::Kind::unix_socket, "", 0, path};
    }
    return wrong("have a path of 1 to 107 bytes behind \"unix:\"", text);
  }
  const auto found = parse_host_port(text);
  if (!found || !found->port) return wrong("be \"HOST:PORT\", \"unix:PATH\" or \"\" for none", text);
  return AdminAddress{AdminAddress::Kind::tcp, found->host, *found->port, ""};
}

bool is_reached_by_others(const AdminAddress& address) {
  return address.kind == AdminAddress::Kind::tcp && !is_loopback_host(address.host);
}

std::string format_admin_address(const AdminAddress& address) {
  switch (address.kind) {
    case AdminAddress::Kind::off:
      return "";
    case AdminAddress::Kind::unix_socket:
      return "unix:" + address.path;
    case AdminAddress::Kind::tcp:
      break;
  }
  return format_host_port(address.host, address.port);
}

}  // namespace tidegate::daemon
