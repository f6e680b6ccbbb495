#include "daemon/config/header_values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>

#include "core/text.h"
#include "daemon/config/files.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kValueBytesMax = 4096;
constexpr std::size_t kHeadersMax = 32;

tl::unexpected<Error> wrong(std::string message) { return fail(ErrorCode::invalid, std::move(message)); }

std::string small_letters(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

// RFC 9110, 5.6.2.
bool is_token(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), [&](unsigned char c) {
    return c < 128 && (std::isalnum(c) != 0 || kMarks.find(static_cast<char>(c)) != std::string_view::npos);
  });
}

bool is_ours(const std::string& name) {
  constexpr std::array<std::string_view, 10> kOurs{
      "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "expect",
      "upgrade",        "te",           "user-agent",       "idempotency-key"};
  return name.starts_with("tidegate-") || std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end();
}

Result<uplink::HttpHeader> convert_secret(const std::string& name, const Node& node) {
  auto value = resolve_secret(node);
  if (!value) return tl::unexpected(value.error());
  uplink::HttpHeader header{name, std::move(*value), "", true};
  if (has_control(header.value)) return wrong("the secret has control characters, which no header may have");
  if (node.find("env") != nullptr) return header;
  auto path = resolve_secret_file(node);
  if (!path) return tl::unexpected(path.error());
  header.secret_file = std::move(*path);
  return header;
}

// Without what follows where somebody wrote a whole header, "Authorization: Bearer ...", in the place of its name.
std::string shown_name(std::string_view name) {
  const std::size_t end = std::min(name.find_first_of(": ="), name.size());
  return clip(name.substr(0, end)) + (end < name.size() ? "..." : "");
}

Result<uplink::HttpHeader> convert_header(const Member& member) {
  const std::string name = small_letters(member.name);
  if (!is_token(member.name)) return wrong("is not the name of a header");
  if (is_ours(name)) return wrong("is set by the gateway itself");
  if (member.node.kind == Node::Kind::table) return convert_secret(member.name, member.node);
  if (member.node.kind != Node::Kind::text) return wrong("must be a text or a secret, found " + describe(member.node));
  const std::string& value = member.node.text;
  if (is_secret_name(name)) return convert_secret(member.name, member.node);  // which says that it must not stand there
  if (value.empty() || value.size() > kValueBytesMax || has_control(value)) {
    return wrong("must be a text of 1 to 4096 bytes without control characters, found " + describe(member.node));
  }
  return uplink::HttpHeader{member.name, value, "", false};
}

}  // namespace

bool is_secret_name(std::string_view name) {
  constexpr std::array<std::string_view, 9> kParts{"authorization", "cookie",  "token",  "secret",   "passw",
                                                   "api-key",       "api_key", "apikey", "signature"};
  const std::string small = small_letters(name);
  return small == "p" || small == "sig" || small == "code" || small == "key" ||
         std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return small.find(part) != std::string::npos; });
}

Result<std::vector<uplink::HttpHeader>> convert_headers(const Node& node) {
  if (node.kind != Node::Kind::table || node.members.empty() || node.members.size() > kHeadersMax) {
    return wrong("must be a table of 1 to 32 names with a text or a secret each, found " + describe_shape(node));
  }
  std::vector<uplink::HttpHeader> headers;
  std::set<std::string> names;
  for (const Member& member : node.members) {
    auto header = convert_header(member);
    if (!header) return wrong("\"" + shown_name(member.name) + "\" " + header.error().message);
    if (!names.insert(small_letters(member.name)).second) {
      return wrong("names \"" + clip(member.name) + "\" twice; small and capital letters are the same in headers");
    }
    headers.push_back(std::move(*header));
  }
  return headers;
}

Result<std::vector<uplink::HttpHeader>> convert_kept_secret(const Node& node) {
  auto secret = convert_secret("", node);
  if (!secret) return tl::unexpected(secret.error());
  return std::vector<uplink::HttpHeader>{std::move(*secret)};
}

}  // namespace tidegate::daemon
