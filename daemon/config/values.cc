#include "daemon/config/values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "core/shown_address.h"
#include "core/text.h"
#include "daemon/config/host_port.h"

namespace tidegate::daemon {
namespace {

tl::unexpected<Error> wrong(std::string message) { return fail(ErrorCode::invalid, std::move(message)); }

std::string quoted(std::string_view text) { return "\"" + clip(text) + "\""; }
std::string shown(std::string_view address) { return "\"" + shown_address(address) + "\""; }

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

Result<ListenAddress> parse_listen_address(const std::string& text) {
  const auto found = parse_host_port(text);
  if (!found || !found->port || !is_address(found->host)) {
    return wrong("must be an IP address and a port, such as \"0.0.0.0:1883\" or \"[::]:1883\", found " + shown(text));
  }
  return ListenAddress{found->host, *found->port};
}

Result<void> parse_broker_uri(const std::string& text, mqtt::BrokerOptions& into) {
  constexpr const char* kForm = "must be \"mqtt://HOST[:PORT]\" or \"mqtts://HOST[:PORT]\", found ";
  const bool is_tls = text.starts_with("mqtts://");
  if (!is_tls && !text.starts_with("mqtt://")) return wrong(kForm + shown(text));
  const std::string_view authority = std::string_view(text).substr(is_tls ? 8 : 7);
  if (authority.find('@') != std::string_view::npos) {
    return wrong("must not hold a login; use the keys username and password, found " + shown(text));
  }
  const auto found = parse_host_port(authority);
  if (!found || found->port == 0) return wrong(kForm + shown(text));
  into.uri = std::string(is_tls ? "mqtts://" : "mqtt://") +
             format_host_port(found->host, found->port.value_or(is_tls ? 8883 : 1883));
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
  if (auto good = check_placeholders(topic, {"gateway", "stream", "lane"}); !good) return good;
  if (topic.find_first_of("+#") != std::string::npos) {
    return wrong("must be a topic to publish to, without + and #, found " + quoted(topic));
  }
  if (topic.starts_with('$'))
    return wrong("must not begin with $, which belongs to the broker, found " + quoted(topic));
  return {};
}

Result<double> parse_rate(const std::string& text) {
  constexpr double kLeast = 0.1;
  constexpr double kMost = 1e6;
  constexpr std::string_view kUnit = "/s";
  const auto end = text.data() + text.size() - std::min(text.size(), kUnit.size());
  double rate = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, rate, std::chars_format::fixed);
  const bool is_right = error == std::errc() && stop == end && text.ends_with(kUnit) && rate >= kLeast && rate <= kMost;
  if (!is_right) return wrong(std::string("must be ") + kRateForm + ", found " + quoted(text));
  return rate;
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
