#include "uplink/avro/registry_answer.h"

#include <simdjson.h>

#include <limits>
#include <string_view>

#include "core/text.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kBodyBytesShown = 300;

// With what was sent for it.
struct Answer {
  const HttpAnswer& http;
  const SentSecrets& sent;
};

std::string shown(std::string_view text, const SentSecrets& sent) {
  return clip(sent.without(std::string(text)), kBodyBytesShown);
}

// The registry's own words where its answer has the form for them.
std::string words_of(const Answer& answer) {
  dom::parser parser;
  std::string_view message;
  if (parser.parse(answer.http.body)["message"].get_string().get(message) == simdjson::SUCCESS) {
    return shown(message, answer.sent);
  }
  return shown(answer.http.body, answer.sent);
}

std::string with_words(std::string text, const Answer& answer) {
  const std::string words = words_of(answer);
  return words.empty() ? text : text + ": " + words;
}

std::string not_found(const RegistryQuestion& question, const Answer& answer) {
  if (question.registers) {
    return with_words("has no such path (404): set \"url\" to where the subjects are, without \"/subjects\"", answer);
  }
  return with_words("does not have this schema under the subject " + question.subject +
                        " (404): register that of docs/avro.md there, or set register = true",
                    answer);
}

std::string refusal(const RegistryQuestion& question, const Answer& answer) {
  const std::string& subject = question.subject;
  switch (answer.http.status) {
    case 401:
      return with_words("refuses the login (401): check username and password, or token", answer);
    case 403:
      return with_words(std::string("does not let this user ") + (question.registers ? "write" : "read") +
                            " the subject " + subject + " (403): give it the right to",
                        answer);
    case 404:
      return not_found(question, answer);
    case 407:
      return with_words("is behind a proxy that wants credentials (407)", answer);
    case 409:
      return with_words("says that the schema is not compatible with what the subject " + subject +
                            " has (409): set another \"subject\", or the compatibility of this one",
                        answer);
    case 422:
      return with_words("takes no such schema under the subject " + subject + " (422)", answer);
    default:
      break;
  }
  if (answer.http.status >= 300 && answer.http.status < 400) {
    return "redirects with " + std::to_string(answer.http.status) + " to " + shown(answer.http.location, answer.sent) +
           ", which is not followed: set \"url\" to where the registry is";
  }
  return with_words("answers " + std::to_string(answer.http.status), answer);
}

RegistryVerdict read_id(const Answer& answer) {
  dom::parser parser;
  dom::element id;
  std::int64_t number = 0;
  RegistryVerdict verdict;
  if (parser.parse(answer.http.body)["id"].get(id) != simdjson::SUCCESS) {
    verdict.trouble = "answers " + std::to_string(answer.http.status) +
                      " with what is none of a registry's answers, which have an "
                      "\"id\"; is \"url\" right? " +
                      shown(answer.http.body, answer.sent);
  } else if (id.get_int64().get(number) != simdjson::SUCCESS || number < 0 ||
             number > std::numeric_limits<std::int32_t>::max()) {
    verdict.trouble =
        "gives an id that is none of 0 to 2147483647: " + shown(std::string(simdjson::minify(id)), answer.sent);
  } else {
    verdict.id = static_cast<std::int32_t>(number);
  }
  return verdict;
}

RegistryVerdict judge(const RegistryQuestion& question, const Answer& answer) {
  if (!answer.http.problem.empty())
    return {std::nullopt, "gives no answer: " + answer.sent.without(answer.http.problem), true};
  if (answer.http.status >= 200 && answer.http.status < 300) return read_id(answer);
  return {std::nullopt, refusal(question, answer), is_for_a_time(answer.http.status)};
}

}  // namespace

RegistryVerdict judge_registry_answer(const RegistryQuestion& question, const HttpAnswer& answer,
                                      const SentSecrets& sent) {
  RegistryVerdict verdict = judge(question, {answer, sent});
  if (!verdict.id) verdict.trouble = "the schema registry " + question.url + " " + verdict.trouble;
  return verdict;
}

}  // namespace tidegate::uplink
