#include "daemon/config/uplink_url.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "core/shown_address.h"
#include "core/text.h"
#include "daemon/config/header_values.h"
#include "daemon/config/host_port.h"
#include "daemon/config/values.h"

namespace tidegate::daemon {
namespace {

constexpr std::string_view kPlain = "http://";
constexpr std::string_view kSecure = "https://";

tl::unexpected<Error> wrong(std::string message) { return fail(ErrorCode::invalid, std::move(message)); }

std::string shown(std::string_view url) { return "\"" + shown_address(url) + "\""; }

struct Parts {
  std::string_view scheme;
  std::string_view authority;
  std::string_view path;  // and query
};

std::optional<Parts> take_apart(std::string_view url) {
  const std::string_view scheme = url.starts_with(kSecure) ? kSecure : kPlain;
  if (!url.starts_with(scheme)) return std::nullopt;
  const std::string_view rest = url.substr(scheme.size());
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  return Parts{scheme, rest.substr(0, end), rest.substr(end)};
}

Result<void> check_authority(const Parts& parts, const std::string& form) {
  const std::size_t at = parts.authority.rfind('@');
  if (at != std::string_view::npos) {
    return wrong("must not hold a login, found " + shown(std::string(parts.scheme) + std::string(parts.authority)));
  }
  const auto host = parse_host_port(parts.authority);
  const bool has_braces = parts.authority.find_first_of("{}") != std::string_view::npos;
  if (!host || host->host.empty() || host->port == 0 || has_braces) {
    return wrong("must be " + form + ", found " + shown(std::string(parts.scheme) + std::string(parts.authority)));
  }
  return {};
}

Result<void> check_query(std::string_view path, const std::string& instead) {
  const std::size_t question = path.find('?');
  if (question == std::string_view::npos) return {};
  for (const std::string_view pair : split(path.substr(question + 1), '&')) {
    const std::string_view name = pair.substr(0, pair.find('='));
    if (is_secret_name(name)) {
      return wrong("has \"" + clip(name) + "\" in its query, which is a secret and must not be written here; " +
                   instead);
    }
  }
  return {};
}

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

Result<void> check_uplink_url(const std::string& url, const std::string& instead) {
  constexpr const char* kForm = "\"http://HOST[:PORT]/PATH\" or \"https://HOST[:PORT]/PATH\"";
  const auto parts = take_apart(url);
  if (!parts) {
    return wrong(std::string("must be ") + kForm + ", found " + shown(url));
  }
  if (auto good = check_authority(*parts, kForm); !good) return good;
  if (auto good = check_query(parts->path, instead); !good) return good;
  if (!is_printable_ascii(url) || parts->path.find('#') != std::string_view::npos) {
    return wrong("must not have spaces, other than ASCII or a fragment (\"#\"): write them as %XX");
  }
  return check_placeholders(std::string(parts->path), {"gateway", "stream"});
}

Result<void> check_proxy_url(const std::string& url) {
  constexpr const char* kForm = "\"http://HOST[:PORT]\" or \"https://HOST[:PORT]\"";
  const auto parts = take_apart(url);
  if (!parts || !is_printable_ascii(url) || !(parts->path.empty() || parts->path == "/")) {
    return wrong(std::string("must be ") + kForm + ", found " + shown(url));
  }
  return check_authority(*parts, kForm);
}

std::string host_of(const std::string& url) {
  const auto parts = take_apart(url);
  const auto host = parts ? parse_host_port(parts->authority) : std::nullopt;
  return host ? host->host : std::string();
}

}  // namespace tidegate::daemon
