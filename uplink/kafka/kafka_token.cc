#include "uplink/kafka/kafka_token.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <utility>

#include "core/text.h"
#include "uplink/byte_text.h"

namespace tidegate::uplink {
namespace {

using simdjson::dom::element;
using std::chrono::seconds;

constexpr long kOk = 200;
constexpr std::int64_t kSecondsMost = 9'000'000'000;  // to the year 2255: what a WallTime holds
constexpr std::size_t kShownMost = 300;
constexpr std::size_t kTokenBytesMost = std::size_t{16} * 1024;  // what servers take for a header is less

std::optional<seconds> seconds_in(const element& from, std::string_view name) {
  double number = 0;
  std::string_view text;
  if (from[name].get_double().get(number) != simdjson::SUCCESS) {
    // Some give the number as a text.
    std::int64_t whole = 0;
    if (from[name].get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), whole);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
    number = static_cast<double>(whole);
  }
  const auto most = static_cast<double>(kSecondsMost);
  return seconds(static_cast<std::int64_t>(std::clamp(number, -most, most)));
}

std::string text_in(const element& from, std::string_view name) {
  std::string_view text;
  return from[name].get_string().get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::optional<WallTime> time_in(const element& from, std::string_view name) {
  const auto since = seconds_in(from, name);
  if (!since) return std::nullopt;
  return WallTime(std::max(*since, seconds(0)));  // before 1970 nothing was given, and differences stay within 64 bits
}

// False when it is no JWT.
bool take_claims(KafkaToken& token) {
  const auto parts = split(token.value, '.');
  constexpr std::size_t kParts = 3;
  if (parts.size() != kParts) return false;
  const auto payload = base64url_decoded(parts[1]);
  simdjson::dom::parser parser;
  element claims;
  if (!payload || parser.parse(*payload).get(claims) != simdjson::SUCCESS || !claims.is_object()) return false;
  token.subject = text_in(claims, "sub");
  token.ends = time_in(claims, "exp");
  token.begins = time_in(claims, "nbf");
  const auto issued = time_in(claims, "iat");
  if (token.ends && issued) token.lasts = *token.ends - *issued;
  if (!token.begins) token.begins = issued;
  return true;
}

std::string bytes_most() { return std::to_string(kTokenBytesMost) + " bytes, which are the most"; }

// RFC 6750, 2.1, and whatever else stands in no one's way.
bool has_tokens_characters(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

Error refusal_of(const HttpAnswer& answer, const SentSecrets& sent) {
  std::string text = "answered " + std::to_string(answer.status);
  if (!answer.location.empty()) text += ", a redirection, which is not followed";
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(answer.body).get(root) == simdjson::SUCCESS && root.is_object()) {
    for (const char* const name : {"error", "error_description"}) {
      if (std::string part = text_in(root, name); !part.empty()) {
        text += ": " + clip(sent.without(std::move(part)), kShownMost);
      }
    }
  }
  return {ErrorCode::retry, std::move(text)};
}

Result<void> take_lifetime(const element& root, WallTime now, KafkaToken& token) {
  const auto is_there = root["expires_in"].error() == simdjson::SUCCESS;
  if (is_there) {
    token.lasts = seconds_in(root, "expires_in");
  } else if (!token.lasts && token.ends) {
    token.lasts = *token.ends - now;
  }
  if (!token.lasts) {
    return fail(ErrorCode::retry, is_there ? "answered with an \"expires_in\" that is no number of seconds"
                                           : "did not say how long the token lasts (\"expires_in\")");
  }
  if (*token.lasts > Duration::zero()) return {};
  return fail(ErrorCode::retry, "answered with a token that lasts " +
                                    std::to_string(std::chrono::floor<seconds>(*token.lasts).count()) +
                                    " s: it must be more than 0");
}

}  // namespace

Result<KafkaToken> kafka_token_of_answer(const HttpAnswer& answer, WallTime now, const SentSecrets& sent) {
  if (!answer.problem.empty()) return fail(ErrorCode::retry, "gave no answer: " + sent.without(answer.problem));
  if (answer.status != kOk) return tl::unexpected(refusal_of(answer, sent));
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(answer.body).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return fail(ErrorCode::retry, "answered 200 with something that is no JSON object");
  }
  KafkaToken token;
  token.value = text_in(root, "access_token");
  if (token.value.empty()) return fail(ErrorCode::retry, "answered 200 without an \"access_token\"");
  if (token.value.size() > kTokenBytesMost) {
    return fail(ErrorCode::retry, "answered with an \"access_token\" of more than " + bytes_most());
  }
  if (!has_tokens_characters(token.value)) {
    return fail(ErrorCode::retry, "answered with an \"access_token\" that has characters which no token has");
  }
  take_claims(token);  // where it has some: to us it may be anything
  if (auto taken = take_lifetime(root, now, token); !taken) return tl::unexpected(taken.error());
  return token;
}

Result<KafkaToken> kafka_token_of_file(std::string text) {
  KafkaToken token;
  token.value = std::move(text);
  if (token.value.size() > kTokenBytesMost) return fail(ErrorCode::retry, "has more than " + bytes_most());
  if (!has_tokens_characters(token.value) || !take_claims(token)) {
    return fail(ErrorCode::retry,
                "is no JWT: it must be three parts in base64url, separated by dots, and nothing else");
  }
  if (!token.ends) {
    return fail(ErrorCode::retry, "has no claim \"exp\" that is a number, so that nobody knows when it runs out");
  }
  return token;
}

}  // namespace tidegate::uplink
