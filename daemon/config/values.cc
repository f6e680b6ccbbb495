#include "daemon/config/values.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <optional>

#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::daemon {
namespace {

tl::unexpected<Error> wrong(std::string message) { return fail(ErrorCode::invalid, std::move(message)); }

std::string quoted(std::string_view text) { return "\"" + clip(text) + "\""; }

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

struct HostPort {
  std::string host;  // without brackets
  std::optional<std::uint16_t> port;
};

// "host", "host:1", "[::1]:1"; nothing when it is none of them.
std::optional<HostPort> split_host_port(std::string_view text) {
  HostPort out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    out.host = text.substr(1, close - 1);
    if (out.host.find(':') == std::string::npos) return std::nullopt;
    rest = text.substr(close + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    out.host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  const auto is_wrong = [](char c) {
    return is_control(c) || std::string_view(" /@?#[]\\").find(c) != std::string::npos;
  };
  if (out.host.empty() || std::any_of(out.host.begin(), out.host.end(), is_wrong)) return std::nullopt;
  if (rest.empty()) return out;
  out.port = parse_whole<std::uint16_t>(rest.substr(1));
  if (rest.front() != ':' || !out.port) return std::nullopt;
  return out;
}

bool is_address(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 || ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

std::string list(std::initializer_list<std::string_view> names) {
  std::string out;
  for (const std::string_view name : names) out += (out.empty() ? "{" : ", {") + std::string(name) + "}";
  return out;
}

}  // namespace

Result<void> check_name(const std::string& name) {
  const bool is_right = !name.empty() && name.size() <= 64 && !has_control(name) &&
                        name.find_first_of(" /+#*?{}\"\\") == std::string::npos;
  if (is_right) return {};
  return wrong(std::string("must be ") + kNameForm + ", found " + quoted(name));
}

Result<AdminAddress> parse_local_admin_address(const std::string& text) {
  if (text.empty()) return AdminAddress{};
  if (text.starts_with("unix:")) {
    const std::string path = text.substr(5);
    if (!path.empty() && path.size() < sizeof(sockaddr_un::sun_path)) {
      return AdminAddress{AdminAddress::Kind::unix_socket, "", 0, path};
    }
    return wrong("must have a path of 1 to 107 bytes behind \"unix:\", found " + quoted(text));
  }
  const auto found = split_host_port(text);
  if (!found || !found->port) {
    return wrong("must be \"HOST:PORT\", \"unix:PATH\" or \"\" for none, found " + quoted(text));
  }
  if (!is_loopback_host(found->host)) {
    return wrong("must be a loopback address such as \"127.0.0.1:8480\", or \"unix:PATH\", found " + quoted(text) +
                 "; other addresses need admin_token and admin_tls, which are not available in this version");
  }
  return AdminAddress{AdminAddress::Kind::tcp, found->host, *found->port, ""};
}

bool is_loopback_host(const std::string& host) {
  if (host == "localhost") return true;
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  return ::inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six) != 0;
}

Result<ListenAddress> parse_listen_address(const std::string& text) {
  const auto found = split_host_port(text);
  if (!found || !found->port || !is_address(found->host)) {
    return wrong("must be an IP address and a port, such as \"0.0.0.0:1883\" or \"[::]:1883\", found " + quoted(text));
  }
  return ListenAddress{found->host, *found->port};
}

Result<void> parse_broker_uri(const std::string& text, mqtt::BrokerOptions& into) {
  constexpr const char* kForm = "must be \"mqtt://HOST[:PORT]\" or \"mqtts://HOST[:PORT]\", found ";
  const bool is_tls = text.starts_with("mqtts://");
  if (!is_tls && !text.starts_with("mqtt://")) return wrong(kForm + quoted(text));
  const std::string_view authority = std::string_view(text).substr(is_tls ? 8 : 7);
  if (authority.find('@') != std::string_view::npos) {
    return wrong("must not hold a login; use the keys username and password, found \"" +
                 std::string(is_tls ? "mqtts" : "mqtt") + "://...@" + clip(authority.substr(authority.rfind('@') + 1)) +
                 "\"");
  }
  const auto found = split_host_port(authority);
  if (!found || found->port == 0) return wrong(kForm + quoted(text));
  const bool is_six = found->host.find(':') != std::string::npos;
  into.uri = std::string(is_tls ? "mqtts://" : "mqtt://") + (is_six ? "[" + found->host + "]" : found->host) + ":" +
             std::to_string(found->port.value_or(is_tls ? 8883 : 1883));
  return {};
}

Result<void> check_placeholders(const std::string& text, std::initializer_list<std::string_view> known) {
  for (std::size_t at = text.find_first_of("{}"); at != std::string::npos; at = text.find_first_of("{}", at + 1)) {
    const std::size_t close = text.find_first_of("{}", at + 1);
    if (text[at] == '}' || close == std::string::npos || text[close] == '{') {
      return wrong("has a brace without its other one, found " + quoted(text));
    }
    const std::string name = text.substr(at + 1, close - at - 1);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string near = nearest_word(name, std::span(known.begin(), known.size()));
      return wrong("has the unknown placeholder {" + clip(name) + "}" +
                   (near.empty() ? "" : "; did you mean {" + near + "}?") + "; allowed are " + list(known));
    }
    at = close;
  }
  return {};
}

Result<void> check_publish_topic(const std::string& topic) {
  if (auto good = check_placeholders(topic, {"gateway", "stream"}); !good) return good;
  if (topic.find_first_of("+#") != std::string::npos) {
    return wrong("must be a topic to publish to, without + and #, found " + quoted(topic));
  }
  if (topic.starts_with('$'))
    return wrong("must not begin with $, which belongs to the broker, found " + quoted(topic));
  return {};
}

Result<void> check_tag_glob(const std::string& glob) {
  std::string path = glob;
  for (char& c : path) {
    if (c == '*' || c == '?') c = 'x';
  }
  if (path.find('/') == std::string::npos && glob.find('*') == std::string::npos) {
    return wrong("must be globs over \"device/tag\", such as \"boiler/temp\" or \"pump-*\", found " + quoted(glob));
  }
  return {};
}

}  // namespace tidegate::daemon
