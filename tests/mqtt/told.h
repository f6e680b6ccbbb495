#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mqtt/connection_events.h"
#include "mqtt/reason_code.h"

namespace tidegate::mqtt {

/// Writes down what it is told.
class Told final : public ConnectionEvents {
 public:
  void on_connected() override { words.emplace_back("connected"); }
  void on_connect_failed(LinkState why) override { words.push_back("failed: " + why.detail); }
  void on_subscribed(const SubscribeAnswer& answer) override {
    words.push_back("subscribed, refused " + std::to_string(answer.refused.size()));
  }
  void on_lost(std::optional<LinkState>) override { words.emplace_back("lost"); }
  void on_published(InFlight::Number number, bool ok) override {
    words.push_back((ok ? "published " : "unpublished ") + std::to_string(number));
  }
  void on_refused(InFlight::Number number, const PublishRefusal& refusal) override {
    words.push_back("refused " + std::to_string(number) + ": " + to_string(refusal.reason) +
                    (refusal.words.empty() ? "" : " (" + refusal.words + ")"));
    refusals.push_back(refusal);
  }
  bool on_message(std::string_view topic, std::string_view payload, bool, bool) override {
    words.push_back((takes ? "" : "not now ") + std::string(topic) + "=" + std::string(payload));
    return takes;
  }
  void on_message_too_large(std::string_view topic, std::uint64_t bytes) override {
    words.push_back(std::string(topic) + " has " + std::to_string(bytes));
  }

  std::vector<std::string> words;
  bool takes = true;
  std::vector<PublishRefusal> refusals;
};

}  // namespace tidegate::mqtt
