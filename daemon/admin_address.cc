#include "daemon/admin_address.h"

#include <string_view>

#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kSocketPathBytesMax = 100;  // sockaddr_un holds 108

Result<AdminAddress> parse_socket_path(const std::string& path) {
  if (path.size() > 1 && path.size() < kSocketPathBytesMax && path[0] == '/') {
    return AdminAddress{AdminAddress::Kind::unix_socket, "", 0, path};
  }
  return fail(ErrorCode::invalid, "admin address \"unix:" + clip(path) +
                                      "\": unix: is followed by an absolute path of "
                                      "less than 100 bytes");
}

}  // namespace

Result<AdminAddress> parse_admin_address(const std::string& text) {
  if (text.empty()) return AdminAddress{};
  if (text.starts_with("unix:")) return parse_socket_path(text.substr(5));
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos && colon > 0) {
    const std::string_view port = std::string_view(text).substr(colon + 1);
    AdminAddress address{AdminAddress::Kind::tcp, text.substr(0, colon), 0, ""};
    if (address.host.starts_with('[') && address.host.ends_with(']')) {
      address.host = address.host.substr(1, address.host.size() - 2);
    }
    if (const auto number = parse_whole<std::uint16_t>(port)) {
      address.port = *number;
      return address;
    }
  }
  return fail(ErrorCode::invalid,
              "admin address \"" + clip(text) + "\": allowed are HOST:PORT, such as 127.0.0.1:8480, and unix:/path");
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
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace tidegate::daemon
