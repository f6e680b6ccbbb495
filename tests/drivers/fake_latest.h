#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/latest_values.h"
#include "mqtt/packet_decoder.h"

namespace tidegate::drivers {

/// A table that a test fills by topic.
class FakeLatest final : public LatestValues {
 public:
  void set(const std::string& topic, const std::string& document, bool is_retained = true) {
    std::size_t index = 0;
    while (index < topics_.size() && topics_[index].name != topic) ++index;
    if (index == topics_.size()) topics_.push_back({topic, {}, {}});
    topics_[index].document = document;
    topics_[index].latest = {is_retained, rounds_ + 1};
    changed_.insert(index);
  }
  void report() {
    ++rounds_;
    for (const Changed& action : actions_) action(changed_);
    last_changed = changed_;
    changed_.clear();
  }
  void set_and_report(const std::string& topic, const std::string& document, bool is_retained = true) {
    set(topic, document, is_retained);
    report();
  }

  std::size_t size() const override { return topics_.size(); }
  std::uint64_t rounds() const override { return rounds_; }
  LatestTopic look(std::size_t index) const override { return topics_.at(index).latest; }
  void append_topic(std::size_t index, std::string& out) const override {
    ++topics_asked;
    out += topics_.at(index).name;
  }
  void append_document(std::size_t index, std::string& out) override { out += topics_.at(index).document; }
  void on_changed(Changed action) override { actions_.push_back(std::move(action)); }

  mutable int topics_asked = 0;
  IndexSet last_changed;

 private:
  struct Topic {
    std::string name;
    std::string document;
    LatestTopic latest;
  };
  std::vector<Topic> topics_;
  std::vector<Changed> actions_;
  IndexSet changed_;
  std::uint64_t rounds_ = 0;
};

/// The messages in what was sent, as "topic=document", with the marks r (retained), d (duplicate) and the packet id of
/// QoS 1.
inline std::vector<std::string> messages_in(std::string_view sent, mqtt::ProtocolVersion version) {
  std::vector<std::string> messages;
  while (!sent.empty()) {
    const auto packet = mqtt::cut_packet(sent, 1 << 20);
    if (!packet || !*packet) return {"what was sent is no whole packets"};
    sent.remove_prefix((*packet)->bytes);
    if ((*packet)->type != mqtt::PacketType::publish) continue;
    const auto publish = mqtt::decode_publish(**packet, version);
    if (!publish) return {publish.error().message};
    std::string marks = publish->retain ? "r" : "";
    if (publish->duplicate) marks += "d";
    if (publish->qos > 0) marks += std::to_string(publish->packet_id);
    messages.push_back(std::string(publish->topic) + "=" + std::string(publish->payload) +
                       (marks.empty() ? "" : " " + marks));
  }
  return messages;
}

}  // namespace tidegate::drivers
