#include "uplink/http_answer.h"

#include <algorithm>

#include "core/text.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kBodyBytesShown = 300;
constexpr std::size_t kLocationBytesShown = 300;
constexpr Duration kRetryAfterMost = std::chrono::hours(1);
constexpr Duration kRetryAfterShort = std::chrono::seconds(10);

std::string with_body(std::string text, const std::string& body) {
  if (!body.empty()) text += ": " + clip(body, kBodyBytesShown);
  return text;
}

std::string retry_later(const HttpAnswer& answer, const HttpVerdict& verdict) {
  std::string text = "the target answers " + std::to_string(answer.status);
  if (verdict.failure.retry_after > Duration::zero()) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(verdict.failure.retry_after);
    text += " and takes nothing for " + std::to_string(seconds.count()) + " s";
  }
  return with_body(text, answer.body);
}

std::string without_login(const std::string& url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const std::size_t begin = scheme + 3;
  const std::size_t at = url.substr(0, url.find_first_of("/?#", begin)).rfind('@');
  return at == std::string::npos || at < begin ? url : url.substr(0, begin) + "..." + url.substr(at);
}

std::string refusal(const HttpAnswer& answer) {
  const std::string status = std::to_string(answer.status);
  switch (answer.status) {
    case 207:
      return with_body("answered with 207, which may say that only a part was taken: not taken for an acknowledgement",
                       answer.body);
    case 401:
    case 403:
      return with_body("refused with " + status + "; check the credentials in \"headers\"", answer.body);
    case 407:
      return with_body("refused with 407: the proxy wants credentials", answer.body);
    case 413:
      return with_body("refused with 413, although it is one record alone", answer.body);
    default:
      break;
  }
  if (answer.status >= 300 && answer.status < 400 && !answer.location.empty()) {
    return "redirected with " + status + " to " + clip(without_login(answer.location), kLocationBytesShown) +
           ", which is not followed: set \"url\" to where the target is";
  }
  return with_body("refused with " + status, answer.body);
}

// Of all refusals these are of what the request holds, or may be: a server that is set up wrongly says them of all.
void note_refusal(const HttpAnswer& answer, BatchFailure& failure) {
  if (answer.status != 400 && answer.status != 413 && answer.status != 422) return;
  failure.refusal = with_body(std::to_string(answer.status), answer.body);
}

}  // namespace

bool is_for_a_time(long status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}

HttpVerdict judge(const HttpAnswer& answer, std::uint32_t records) {
  HttpVerdict verdict;
  if (!answer.problem.empty()) {
    verdict.trouble = answer.problem;
    if (answer.problem.find("wrong version number") != std::string::npos) {
      verdict.trouble += ": mostly that port speaks no TLS: use http:// instead of https://, or the port of TLS";
    }
    return verdict;
  }
  verdict.acknowledged = answer.status >= 200 && answer.status < 300 && answer.status != 207;
  if (verdict.acknowledged) return verdict;
  if (answer.status == 413 && records > 1) {
    verdict.failure.too_large = true;
    return verdict;
  }
  if (!is_for_a_time(answer.status)) {
    verdict.trouble = refusal(answer);
    note_refusal(answer, verdict.failure);
    return verdict;
  }
  if (answer.status == 429 || answer.status == 503) {
    verdict.failure.retry_after = std::clamp(answer.retry_after, Duration::zero(), kRetryAfterMost);
  }
  verdict.may_pass = answer.status == 429 && verdict.failure.retry_after <= kRetryAfterShort;
  verdict.trouble = retry_later(answer, verdict);
  return verdict;
}

}  // namespace tidegate::uplink
