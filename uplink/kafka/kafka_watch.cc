#include "uplink/kafka/kafka_watch.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/text.h"
#include "uplink/kafka/kafka_troubles.h"

namespace tidegate::uplink {
namespace {

constexpr Duration kProbePause = std::chrono::seconds(1);
constexpr Duration kTopicPatience = std::chrono::seconds(5);
constexpr Duration kStalledAfter = std::chrono::seconds(30);

}  // namespace

// "All brokers are down" says less than what was wrong with the last of them.
void KafkaWatch::on_problem(rd_kafka_resp_err_t error, const std::string& text) {
  is_doubtful_ = true;
  if (error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || last_problem_.empty()) {
    last_problem_ = describe_kafka_outage(error, text);
    last_error_ = error;
  }
}

void KafkaWatch::on_outage(std::string reason) {
  is_doubtful_ = true;
  outage_ = std::move(reason);
  is_outage_of_login_ = false;
}

void KafkaWatch::on_delivered(Stream stream) {
  if (is_linked_) is_doubtful_ = !topic_trouble_.empty();
  outage_.clear();
  stall_.clear();
  refusals_[static_cast<std::size_t>(stream)].clear();
}

void KafkaWatch::on_refused(Stream stream, std::string reason) {
  refusals_[static_cast<std::size_t>(stream)] = std::move(reason);
}

void KafkaWatch::on_waiting(BootTime now, std::optional<BootTime> since) {
  if (!since || !outage_.empty() || now - std::max(*since, connected_at_) < kStalledAfter) return stall_.clear();
  if (stall_.empty()) is_doubtful_ = true;
  stall_ = "connected, and yet nothing was acknowledged for " + format_duration(kStalledAfter) +
           ": are enough replicas of the topic in sync (min.insync.replicas)?";
}

// A topic that is not there when it is asked for may be made by that.
void KafkaWatch::on_answer(BootTime now, const std::string& topic_trouble) {
  if (!is_linked_ || !outage_.empty()) connected_at_ = now;
  is_linked_ = true;
  last_problem_.clear();
  outage_.clear();
  if (topic_trouble.empty()) topic_trouble_since_.reset();
  if (!topic_trouble.empty() && !topic_trouble_since_) topic_trouble_since_ = now;
  topic_trouble_ = topic_trouble_since_ && now - *topic_trouble_since_ >= kTopicPatience ? topic_trouble : "";
  is_doubtful_ = !topic_trouble.empty();
  probe_at_ = now + kProbePause;
}

void KafkaWatch::on_no_answer(BootTime now, rd_kafka_resp_err_t error, const std::string& text) {
  outage_ = last_problem_.empty() ? describe_kafka_outage(error, text) : last_problem_;
  is_outage_of_login_ = may_be_of_login(last_problem_.empty() ? error : last_error_);
  probe_at_ = now + kProbePause;
}

std::string KafkaWatch::trouble() const {
  if (!outage_.empty()) return explain_ ? explain_(outage_, is_outage_of_login_) : outage_;
  if (!topic_trouble_.empty()) return topic_trouble_;
  const auto refusal = std::find_if(refusals_.begin(), refusals_.end(), [](const auto& one) { return !one.empty(); });
  return refusal == refusals_.end() ? stall_ : *refusal;
}

void KafkaWatch::tell() {
  const std::string now = trouble();
  if (!is_linked_) {
    if (!now.empty() && now != told_) handlers_->link(false, now);
    told_ = now;
    return;
  }
  if (!std::exchange(is_link_told_, true)) {
    handlers_->link(true, "");
    told_.clear();
  }
  if (now == told_) return;
  told_ = now;
  if (handlers_->trouble) handlers_->trouble(now);
}

}  // namespace tidegate::uplink
