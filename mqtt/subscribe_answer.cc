#include "mqtt/subscribe_answer.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "mqtt/reason_code.h"
#include "mqtt/topic_filter.h"

namespace tidegate::mqtt {
namespace {

constexpr int kRefusedLeast = 0x80;  // MQTT 3.1.1, section 3.9.3, and MQTT 5, section 3.9.3

std::string join(const std::vector<std::string>& filters) {
  std::string all;
  for (const std::string& filter : filters) all += (all.empty() ? "" : ", ") + filter;
  return all;
}

std::string refusal_words(const SubscribeAnswer& answer) {
  std::string words;
  if (!answer.refused.empty()) {
    words = "the broker refuses the subscription to " + join(answer.refused) + ": check its access rules";
    const bool shares = std::any_of(answer.refused.begin(), answer.refused.end(),
                                    [](const std::string& filter) { return is_shared(filter); });
    if (shares) words += ", and whether it has shared subscriptions";
  }
  if (!answer.unshared.empty()) {
    words += (words.empty() ? "" : "; ") + ("the broker has no shared subscriptions, so nothing comes of " +
                                            join(answer.unshared) + ": leave $share/GROUP/ out");
  }
  return words;
}

}  // namespace

void SubscribeAnswer::note(const std::string& filter, int asked, int code) {
  if (code == static_cast<int>(ReasonCode::shared_subscriptions_not_supported)) {
    unshared.push_back(filter);
  } else if (code >= kRefusedLeast) {
    refused.push_back(filter);
  } else if (code < asked) {
    lowered.push_back(filter);
  }
}

LinkState explain(const SubscribeAnswer& answer, const std::string& broker_uri) {
  std::string detail = refusal_words(answer);
  const bool is_refused = !detail.empty();
  if (is_refused) log_error("mqtt", "{}: {}", broker_uri, detail);
  if (!answer.lowered.empty()) {
    const std::string lowered = "the broker gives a lower QoS than was asked for to " + join(answer.lowered) +
                                ", so what comes while this gateway is away is lost: check the broker's max_qos";
    log_warning("mqtt", "{}: {}", broker_uri, lowered);
    detail += (detail.empty() ? "" : "; ") + lowered;
  }
  return {true, is_refused ? LinkProblem::refused_filter : LinkProblem::none, std::move(detail)};
}

}  // namespace tidegate::mqtt
