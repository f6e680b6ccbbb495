#include "uplink/avro/registry_answer.h"

#include <simdjson.h>

#include <limits>
#include <string_view>

#include "core/text.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kBodyBytesShown = 300;

// The registry's own words where its answer has the form for them.
std::string words_of(const HttpAnswer& answer) {
  dom::parser parser;
  std::string_view message;
  if (parser.parse(answer.body)["message"].get_string().get(message) == simdjson::SUCCESS) {
    return clip(message, kBodyBytesShown);
  }
  return clip(answer.body, kBodyBytesShown);
}

std::string with_words(std::string text, const HttpAnswer& answer) {
  const std::string words = words_of(answer);
  return words.empty() ? text : text + ": " + words;
}

std::string not_found(const RegistryQuestion& question, const HttpAnswer& answer) {
  if (question.registers) {
    return with_words("has no such path (404): set \"url\" to where the subjects are, without \"/subjects\"", answer);
  }
  return with_words("does not have this schema under the subject " + question.subject +
                        " (404): register that of docs/avro.md there, or set register = true",
                    answer);
}

std::string refusal(const RegistryQuestion& question, const HttpAnswer& answer) {
  const std::string& subject = question.subject;
  switch (answer.status) {
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
  if (answer.status >= 300 && answer.status < 400) {
    return "redirects with " + std::to_string(answer.status) + " to " + clip(answer.location, kBodyBytesShown) +
           ", which is not followed: set \"url\" to where the registry is";
  }
  return with_words("answers " + std::to_string(answer.status), answer);
}

bool is_for_a_time(long status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}

RegistryVerdict read_id(const HttpAnswer& answer) {
  dom::parser parser;
  dom::element id;
  std::int64_t number = 0;
  RegistryVerdict verdict;
  if (parser.parse(answer.body)["id"].get(id) != simdjson::SUCCESS) {
    verdict.trouble = "answers " + std::to_string(answer.status) +
                      " with what is none of a registry's answers, which have an "
                      "\"id\"; is \"url\" right? " +
                      clip(answer.body, kBodyBytesShown);
  } else if (id.get_int64().get(number) != simdjson::SUCCESS || number < 0 ||
             number > std::numeric_limits<std::int32_t>::max()) {
    verdict.trouble =
        "gives an id that is none of 0 to 2147483647: " + clip(std::string(simdjson::minify(id)), kBodyBytesShown);
  } else {
    verdict.id = static_cast<std::int32_t>(number);
  }
  return verdict;
}

RegistryVerdict judge(const RegistryQuestion& question, const HttpAnswer& answer) {
  if (!answer.problem.empty()) return {std::nullopt, "gives no answer: " + answer.problem, true};
  if (answer.status >= 200 && answer.status < 300) return read_id(answer);
  return {std::nullopt, refusal(question, answer), is_for_a_time(answer.status)};
}

}  // namespace

RegistryVerdict judge_registry_answer(const RegistryQuestion& question, const HttpAnswer& answer) {
  RegistryVerdict verdict = judge(question, answer);
  if (!verdict.id) verdict.trouble = "the schema registry " + question.url + " " + verdict.trouble;
  return verdict;
}

}  // namespace tidegate::uplink
