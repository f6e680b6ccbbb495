#include "daemon/config/postgresql_url.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/parse_whole.h"
#include "core/shown_address.h"
#include "core/text.h"
#include "daemon/config/header_values.h"
#include "daemon/config/host_port.h"

namespace tidegate::daemon {
namespace {

constexpr std::array<std::string_view, 2> kSchemes{"postgresql://", "postgres://"};
constexpr std::uint16_t kPort = 5432;
constexpr std::size_t kNameBytesMax = 63;
constexpr const char* kForm =
    "\"postgresql://HOST[:PORT]/DATABASE\" or \"postgresql:///DATABASE?host=/DIRECTORY\" for a Unix socket";

tl::unexpected<Error> wrong(const std::string& message) { return fail(ErrorCode::invalid, message); }

std::string shown(std::string_view url) { return "\"" + shown_address(url) + "\""; }

Result<void> take_query(std::string_view query, uplink::PostgresqlUplinkOptions& into) {
  for (const std::string_view pair : split(query, '&')) {
    const std::string_view name = pair.substr(0, pair.find('='));
    const std::string_view value = pair.substr(std::min(name.size() + 1, pair.size()));
    if (is_secret_name(name) || name == "user") {
      return wrong("must not hold a login, found \"" + clip(name) + "\" in it: use the keys username and password");
    }
    if (name.starts_with("ssl")) {
      return wrong("says nothing of TLS, found \"" + clip(name) + "\" in it: use the keys encryption and tls");
    }
    if (name == "host" && value.starts_with('/') && value.find(',') == std::string_view::npos && into.host.empty()) {
      into.host = value;
    } else if (name == "port" && into.host.starts_with('/')) {
      const auto port = parse_whole<std::uint16_t>(value);
      if (!port || *port == 0) return wrong("has a port that is none, found \"" + clip(value) + "\"");
      into.port = *port;
    } else {
      return wrong("must be " + std::string(kForm) + ", found \"" + clip(name) + "\" in its query");
    }
  }
  return {};
}

}  // namespace

Result<void> parse_postgresql_url(const std::string& url, uplink::PostgresqlUplinkOptions& into) {
  const auto* const scheme =
      std::find_if(kSchemes.begin(), kSchemes.end(), [&](std::string_view one) { return url.starts_with(one); });
  if (scheme == kSchemes.end()) return wrong("must be " + std::string(kForm) + ", found " + shown(url));
  const std::string_view rest = std::string_view(url).substr(scheme->size());
  if (rest.find('@') != std::string_view::npos) {
    return wrong("must not hold a login, found " + shown(url) + ": use the keys username and password");
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view path = rest.substr(std::min(slash + 1, rest.size()));
  const std::size_t question = std::min(path.find('?'), path.size());
  uplink::PostgresqlUplinkOptions found;
  found.port = kPort;
  found.database = path.substr(0, question);
  if (slash > 0) {
    const auto host = parse_host_port(rest.substr(0, slash));
    const bool is_one = host && !host->host.empty() && host->port != 0 && host->host.find(',') == std::string::npos;
    if (!is_one) return wrong("must be " + std::string(kForm) + ", found " + shown(url));
    found.host = host->host;
    found.port = host->port.value_or(kPort);
  }
  if (question < path.size()) {
    if (auto taken = take_query(path.substr(question + 1), found); !taken) return taken;
  }
  const bool is_named = !found.database.empty() && found.database.size() <= kNameBytesMax &&
                        found.database.find_first_of("/%#") == std::string::npos && !has_control(found.database);
  if (found.host.empty() || !is_named) return wrong("must be " + std::string(kForm) + ", found " + shown(url));
  into.host = found.host;
  into.port = found.port;
  into.database = found.database;
  return {};
}

}  // namespace tidegate::daemon
