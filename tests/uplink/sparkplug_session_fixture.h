#pragma once

#include <gmock/gmock.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/sparkplug_messages.h"
#include "uplink/sparkplug/sparkplug_session.h"

namespace tidegate::uplink::testing {

/// A session, a time that stands still until it passes, and what was ordered so far. Looks at each message's number.
class SparkplugSessionTest : public ::testing::Test {
 protected:
  SparkplugSessionTest() {
    options_.group = "plant";
    make();
  }

  void make() { session_ = std::make_unique<SparkplugSession>("cloud", options_, "gw"); }
  void with_host() {
    options_.primary_host = "scada";
    make();
  }

  SparkplugSession::Now now() const {
    return {BootTime(elapsed_), WallTime(std::chrono::milliseconds(1'700'000'000'000) + elapsed_), quality_};
  }
  void connect(std::uint64_t bd_seq = 7) {
    session_->connected(bd_seq, "", now());
    take();
  }
  void send(std::uint64_t id, const std::string& readings) { send(sparkplug_batch(id, readings)); }
  void send(const OutgoingBatch& batch) {
    session_->take_batch(batch, now());
    take();
  }
  void host_says(const std::string& state) {
    session_->take_message({"spBv1.0/STATE/scada", state}, now());
    take();
  }
  void command(const std::string& payload, const std::string& topic = "spBv1.0/plant/NCMD/gw") {
    session_->take_message({topic, payload}, now());
    take();
  }
  // A message of the broker that was there before the subscription.
  void retained_command(const std::string& payload, const std::string& topic) {
    session_->take_message({topic, payload, true}, now());
    take();
  }
  void answer(std::uint64_t ticket, bool ok = true) {
    tickets_.erase(ticket);
    session_->published(ticket, ok, now());
    take();
  }
  void answer_all() {
    while (!tickets_.empty()) answer(*tickets_.begin());
  }
  void pass(Duration time) {
    elapsed_ += time;
    session_->tick(now());
    take();
  }

  // Takes the orders over; every message is checked for its number.
  void take() {
    SparkplugOrders orders = session_->take_orders();
    for (const SparkplugMessage& message : orders.messages) {
      EXPECT_EQ(message.qos, message.topic.find("NDEATH") == std::string::npos ? options_.qos : 1);
      EXPECT_TRUE(tickets_.insert(message.ticket).second);
      seen_.push_back(sparkplug_seen(message.topic, message.payload));
      const SparkplugSeen& last = seen_.back();
      topics_.push_back(last.topic);
      if (last.topic == "NDEATH/gw") {
        EXPECT_FALSE(last.payload.seq) << "a death has none";
        continue;
      }
      next_seq_ = last.topic == "NBIRTH/gw" ? 0 : next_seq_;
      EXPECT_EQ(last.payload.seq, next_seq_) << last.topic;
      next_seq_ = (next_seq_ + 1) % 256;
    }
    for (TagWrite& write : orders.writes) writes_.push_back(std::move(write));
    for (const auto& done : orders.done) {
      done_.emplace_back(done.batch_id, done.ok);
      refusal_ = done.refusal;
    }
    if (orders.link) link_ = (orders.link->up ? "up" : "down: ") + orders.link->detail;
    reconnects_ += orders.reconnect ? 1 : 0;
  }
  std::vector<std::string> take_topics() { return std::exchange(topics_, {}); }
  const SparkplugSeen& last() const { return seen_.back(); }

  SparkplugOptions options_;
  std::unique_ptr<SparkplugSession> session_;
  Duration elapsed_{};
  ClockQuality quality_ = ClockQuality::unsynced;
  std::vector<SparkplugSeen> seen_;
  std::vector<std::string> topics_;
  std::set<std::uint64_t> tickets_;
  std::uint64_t next_seq_ = 0;
  std::vector<std::pair<std::uint64_t, bool>> done_;
  std::vector<TagWrite> writes_;
  std::string refusal_;  // of the last one
  std::string link_;
  int reconnects_ = 0;
};

}  // namespace tidegate::uplink::testing
