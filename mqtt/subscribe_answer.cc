#include "mqtt/subscribe_answer.h"

#include <utility>

#include "core/log.h"

namespace tidegate::mqtt {
namespace {

constexpr int kRefusedLeast = 0x80;  // MQTT 3.1.1, section 3.9.3, and MQTT 5, section 3.9.3

std::string join(const std::vector<std::string>& filters) {
  std::string all;
  for (const std::string& filter : filters) all += (all.empty() ? "" : ", ") + filter;
  return all;
}

}  // namespace

void SubscribeAnswer::note(const std::string& filter, int asked, int code) {
  if (code >= kRefusedLeast) {
    refused.push_back(filter);
  } else if (code < asked) {
    lowered.push_back(filter);
  }
}

LinkState explain(const SubscribeAnswer& answer, const std::string& broker_uri) {
  std::string detail;
  if (!answer.refused.empty()) {
    detail = "the broker refuses the subscription to " + join(answer.refused) + ": check its access rules";
    log_error("mqtt", "{}: {}", broker_uri, detail);
  }
  if (!answer.lowered.empty()) {
    const std::string lowered = "the broker gives a lower QoS than was asked for to " + join(answer.lowered) +
                                ", so what comes while this gateway is away is lost: check the broker's max_qos";
    log_warning("mqtt", "{}: {}", broker_uri, lowered);
    detail += (detail.empty() ? "" : "; ") + lowered;
  }
  return {true, answer.refused.empty() ? LinkProblem::none : LinkProblem::refused_filter, std::move(detail)};
}

}  // namespace tidegate::mqtt
