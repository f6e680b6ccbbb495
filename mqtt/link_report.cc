#include "mqtt/link_report.h"

#include <chrono>

namespace tidegate::mqtt {
namespace {

// A connection that ends this soon was most likely ended by the broker on purpose.
constexpr Duration kShortLife = std::chrono::seconds(5);

}  // namespace

bool LinkReport::note(const LinkState& state, BootTime now) {
  const bool is_known = is_told_ && state.up == told_.up && state.problem == told_.problem;
  if (is_known && state.detail == told_.detail) return false;
  is_told_ = true;
  told_ = state;
  const auto left_out = lines_.admit(state.up ? std::string() : state.detail, now);
  if (!left_out) return true;
  if (state.up) {
    log_info("mqtt", "{}: connected{}", uri_, since_last_line(*left_out));
  } else {
    log_warning("mqtt", "{}: {}; trying again, at the slowest every {} s{}", uri_, state.detail,
                std::chrono::ceil<std::chrono::seconds>(reconnect_most_).count(), since_last_line(*left_out));
  }
  return true;
}

LinkState lost_link(Duration lived, const BrokerOptions& broker) {
  if (lived >= kShortLife) return {false, LinkProblem::lost, "the connection was lost"};
  return {
      false, LinkProblem::lost,
      "the broker ended the connection right after it was made: it is going down or being restarted, or another client "
      "uses client id \"" +
          broker.client_id + "\" too"};
}

}  // namespace tidegate::mqtt
