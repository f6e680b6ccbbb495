#include "uplink/sparkplug/sparkplug_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/wait_until.h"
#include "tests/uplink/fake_client.h"
#include "tests/uplink/sparkplug_messages.h"
#include "uplink/sparkplug/client_events.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tidegate::testing::wait_until;

/// A client whose handlers the test calls; what the transport's thread asks of it is kept under a lock.
class SharedClient final : public mqtt::Client {
 public:
  struct Log {
    std::mutex mutex;
    std::vector<Published> published;
    std::vector<std::string> filters;
    mqtt::BrokerOptions broker;
    mqtt::ClientHandlers handlers;
    int reconnects = 0;
    std::vector<std::uint64_t> connections{};  // that messages were for
    std::uint64_t tried = 0;
    bool stops = true;
    Duration grace{};  // that it was given to stop
  };
  explicit SharedClient(std::shared_ptr<Log> log) : log_(std::move(log)) {}
  void start() override {}
  bool stop(Duration grace) override {
    log_->grace = grace;
    return log_->stops;
  }
  void publish(mqtt::Publication message) override {
    put({message.ticket, std::move(message.topic), std::move(message.payload), 1});
  }
  void publish_in(std::uint64_t connection, mqtt::Publication message) override {
    put({message.ticket, std::move(message.topic), std::move(message.payload), message.qos});
    const std::lock_guard lock(log_->mutex);
    log_->connections.push_back(connection);
  }
  void publish_at_most_once(std::string, std::string) override {}
  void reconnect(std::uint64_t) override {
    const std::lock_guard lock(log_->mutex);
    ++log_->reconnects;
  }

 private:
  void put(Published published) {
    const std::lock_guard lock(log_->mutex);
    log_->published.push_back(std::move(published));
  }
  std::shared_ptr<Log> log_;
};

class SparkplugTransportTest : public ::testing::Test {
 protected:
  SparkplugTransportTest() {
    options_.forwarder.name = "edge";
    options_.sparkplug.group = "plant";
    options_.sparkplug.primary_host = "scada";
  }

  void start() {
    make();
    ASSERT_TRUE(transport_->start());
  }
  void make() {
    TransportHandlers handlers;
    handlers.done = [this](std::uint64_t id, bool ok) {
      const std::lock_guard lock(mutex_);
      done_.emplace_back(id, ok);
    };
    handlers.link = [this](bool up, std::string detail) {
      const std::lock_guard lock(mutex_);
      links_.emplace_back(up, std::move(detail));
    };
    handlers.write = [this](TagWrite write) {
      const std::lock_guard lock(mutex_);
      writes_.push_back(std::move(write));
    };
    const auto make_client = [this](mqtt::BrokerOptions broker, const std::vector<mqtt::Subscription>& subscriptions,
                                    mqtt::ClientHandlers of_client) {
      client_->broker = std::move(broker);
      client_->handlers = std::move(of_client);
      for (const auto& subscription : subscriptions) client_->filters.push_back(subscription.filter);
      return std::make_unique<SharedClient>(client_);
    };
    transport_ = make_sparkplug_transport_over(make_client, options_, "gw", 255, std::move(handlers));
  }
  std::vector<std::string> topics() const {
    const std::lock_guard lock(client_->mutex);
    std::vector<std::string> topics;
    for (const Published& published : client_->published) topics.push_back(published.topic);
    return topics;
  }
  bool wait_for_topic(const std::string& topic, std::size_t times = 1) const {
    return wait_until([&] { return count(topic) >= times; }, seconds(10));
  }
  std::size_t count(const std::string& topic) const {
    const auto all = topics();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), topic));
  }
  std::uint64_t last_ticket() const {
    const std::lock_guard lock(client_->mutex);
    return client_->published.back().ticket;
  }
  mqtt::SparkplugValue bd_seq_of_will() const {
    const auto will = client_->handlers.will(++client_->tried);
    EXPECT_EQ(will.topic, "spBv1.0/plant/NDEATH/gw");
    return mqtt::decode_sparkplug(will.payload, 10)->metrics.at(0).value;
  }
  bool wait_for_detail(const std::string& part) const {
    return wait_until(
        [&] {
          const std::lock_guard lock(mutex_);
          return !links_.empty() && links_.back().second.find(part) != std::string::npos;
        },
        seconds(10));
  }
  void tell_link(bool up) const { client_->handlers.link({up, mqtt::LinkProblem::none, up ? "" : "lost"}); }
  void tell_state(bool online, int timestamp) const {
    client_->handlers.message(
        "spBv1.0/STATE/scada",
        std::string("{\"online\":") + (online ? "true" : "false") + ",\"timestamp\":" + std::to_string(timestamp) + "}",
        true, false);
  }

  MqttUplinkOptions options_;
  std::shared_ptr<SharedClient::Log> client_ = std::make_shared<SharedClient::Log>();
  mutable std::mutex mutex_;
  std::vector<std::pair<std::uint64_t, bool>> done_;
  std::vector<std::pair<bool, std::string>> links_;
  std::vector<TagWrite> writes_;
  std::unique_ptr<Transport> transport_;
};

// While it lives the system has no thread to give: none has room for its stack.
class NoMoreThreads {
 public:
  NoMoreThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t wide;
    pthread_attr_init(&wide);
    pthread_attr_setstacksize(&wide, std::numeric_limits<std::size_t>::max() / 4 * 3);
    pthread_setattr_default_np(&wide);
    pthread_attr_destroy(&wide);
  }
  NoMoreThreads(const NoMoreThreads&) = delete;
  NoMoreThreads& operator=(const NoMoreThreads&) = delete;
  ~NoMoreThreads() { pthread_setattr_default_np(&before_); }

 private:
  pthread_attr_t before_{};
};

TEST_F(SparkplugTransportTest, SaysThatThereIsNoThreadForIt) {
  make();
  const NoMoreThreads none;
  const auto started = transport_->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::retry);
  EXPECT_THAT(started.error().message, HasSubstr("thread of the uplink edge: "));
}

TEST_F(SparkplugTransportTest, SubscribesToCommandsAndTheHostWithACleanSession) {
  start();
  EXPECT_THAT(client_->filters, ElementsAre("spBv1.0/plant/NCMD/gw", "spBv1.0/plant/DCMD/gw/+", "spBv1.0/STATE/scada"));
  EXPECT_TRUE(client_->broker.clean_session);
}

TEST_F(SparkplugTransportTest, EachConnectionHasAWillOfTheNextNumberAndItsBirthSaysTheSame) {
  options_.sparkplug.primary_host.clear();
  start();
  EXPECT_EQ(bd_seq_of_will(), mqtt::SparkplugValue(std::uint64_t{255}));
  tell_link(false);
  EXPECT_EQ(bd_seq_of_will(), mqtt::SparkplugValue(std::uint64_t{0}));
  tell_link(true);
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/NBIRTH/gw"));
  const auto birth = sparkplug_seen(client_->published[0].topic, client_->published[0].payload);
  EXPECT_EQ(birth.named("bdSeq")->value, mqtt::SparkplugValue(std::uint64_t{0}));
  EXPECT_TRUE(wait_until(
      [&] {
        const std::lock_guard lock(client_->mutex);
        return client_->connections == std::vector<std::uint64_t>{2};
      },
      seconds(10)));
}

TEST_F(SparkplugTransportTest, CarriesABatchAndReportsItWhenItIsAcknowledged) {
  start();
  tell_state(true, 1);
  tell_link(true);
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/NBIRTH/gw"));
  transport_->send(sparkplug_batch(9, reading_json("d/a", "1")));
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/DDATA/gw/d"));
  for (std::uint64_t ticket = 1; ticket <= last_ticket(); ++ticket) client_->handlers.published(ticket, true);
  EXPECT_TRUE(wait_until(
      [&] {
        const std::lock_guard lock(mutex_);
        return done_ == std::vector{std::pair(std::uint64_t{9}, true)};
      },
      seconds(10)));
}

TEST_F(SparkplugTransportTest, LeavesWhenTheHostGoes) {
  start();
  tell_link(true);
  EXPECT_TRUE(wait_for_detail("nothing is known of it"));
  tell_state(true, 1);
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/NBIRTH/gw"));
  tell_state(false, 2);
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/NDEATH/gw"));
  EXPECT_TRUE(wait_for_detail("offline"));
  client_->handlers.published(last_ticket(), true);
  EXPECT_TRUE(wait_until(
      [&] {
        const std::lock_guard lock(client_->mutex);
        return client_->reconnects == 1;
      },
      seconds(10)));
}

TEST_F(SparkplugTransportTest, AStopGivesWhatIsOpenItsGraceAndSaysGoodbye) {
  options_.sparkplug.primary_host.clear();
  start();
  tell_link(true);
  transport_->send(sparkplug_batch(9, reading_json("d/a", "1")));
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/DDATA/gw/d"));
  transport_->stop(std::chrono::milliseconds(20));
  EXPECT_EQ(topics().back(), "spBv1.0/plant/NDEATH/gw");
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{9}, false)));
  transport_->send(sparkplug_batch(10, ""));
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{9}, false), std::pair(std::uint64_t{10}, false)));
}

TEST_F(SparkplugTransportTest, AStopEndsWithinItsGraceWithWhatTheClientHasOfIt) {
  options_.sparkplug.primary_host.clear();
  start();
  tell_link(true);
  transport_->send(sparkplug_batch(9, reading_json("d/a", "1")));
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/DDATA/gw/d"));
  transport_->stop(std::chrono::milliseconds(1050));
  EXPECT_EQ(client_->grace, seconds(1));
}

TEST_F(SparkplugTransportTest, AStopIsOverWhenWhatIsOpenIsAcknowledged) {
  options_.sparkplug.primary_host.clear();
  start();
  tell_link(true);
  transport_->send(sparkplug_batch(9, reading_json("d/a", "1")));
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/DDATA/gw/d"));
  std::thread stopping([this] { transport_->stop(seconds(60)); });
  // It is stopping when it takes nothing more.
  EXPECT_TRUE(wait_until(
      [this] {
        transport_->send(sparkplug_batch(10, ""));
        const std::lock_guard lock(mutex_);
        return !done_.empty();
      },
      seconds(10)));
  EXPECT_EQ(count("spBv1.0/plant/NDEATH/gw"), 0U) << "the grace is not over";
  EXPECT_TRUE(wait_until(
      [this] {
        for (std::uint64_t ticket = 1; ticket <= last_ticket(); ++ticket) client_->handlers.published(ticket, true);
        return count("spBv1.0/plant/NDEATH/gw") == 1;
      },
      seconds(10)));
  stopping.join();
  EXPECT_EQ(std::count(done_.begin(), done_.end(), std::pair(std::uint64_t{9}, true)), 1);
}

TEST_F(SparkplugTransportTest, EachOfEqualCommandsIsToldAndThoseWithTheDuplicateFlagAreRefused) {
  options_.sparkplug.primary_host.clear();
  options_.sparkplug.commands = true;
  options_.sparkplug.writable = {"boiler/setpoint"};
  start();
  tell_link(true);
  ASSERT_TRUE(wait_for_topic("spBv1.0/plant/NBIRTH/gw"));
  mqtt::SparkplugPayload command;
  mqtt::SparkplugMetric& metric = command.metrics.emplace_back();
  metric.name = "setpoint";
  metric.type = mqtt::SparkplugType::float64;
  metric.value = 60.0;
  const std::string payload = mqtt::encode_sparkplug(command);
  for (const bool is_duplicate : {false, false, false, true}) {
    client_->handlers.message("spBv1.0/plant/DCMD/gw/boiler", payload, false, is_duplicate);
  }
  const auto told = [this] {
    const std::lock_guard lock(mutex_);
    return writes_.size();
  };
  ASSERT_TRUE(wait_until([&] { return told() == 4; }, seconds(10))) << told();
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_THAT(writes_[i].refusal, ::testing::Not(HasSubstr("duplicate")));
  EXPECT_THAT(writes_[3].refusal, HasSubstr("duplicate by its flag DUP"));
}

TEST_F(SparkplugTransportTest, HandlersMayBeCalledWhenTheTransportIsGone) {
  client_->stops = false;
  start();
  tell_link(true);
  transport_->stop(std::chrono::milliseconds(1));
  transport_.reset();
  tell_state(true, 1);
  EXPECT_EQ(bd_seq_of_will(), mqtt::SparkplugValue(std::uint64_t{255}));
}

MessageEvent state(int timestamp, bool online) {
  return {"S", std::string("{\"online\":") + (online ? "true" : "false") +
                   ",\"timestamp\":" + std::to_string(timestamp) + "}"};
}

TEST(SparkplugClientEvents, KeepOnlySoManyMessagesOfOthers) {
  ClientEvents events("S");
  EXPECT_TRUE(events.put(PublishedEvent{1, true}));
  for (std::size_t i = 0; i < ClientEvents::kMessagesMost + 10; ++i) events.put(MessageEvent{"t", std::to_string(i)});
  events.put(MessageEvent{"t", std::string(ClientEvents::kMessageBytesMost + 1, 'x')});
  EXPECT_FALSE(events.put(PublishedEvent{2, true})) << "but all answers";
  EXPECT_FALSE(events.put(state(1, false)));
  const auto taken = events.take();
  ASSERT_EQ(taken.events.size(), ClientEvents::kMessagesMost + 3);
  EXPECT_EQ(taken.left_out, 11U);
  EXPECT_EQ(std::get<MessageEvent>(taken.events.back()).topic, "S") << "the host's word is never left out";
  EXPECT_TRUE(events.put(MessageEvent{"t", "p"}));
  EXPECT_EQ(events.take().left_out, 0U);
}

TEST(SparkplugClientEvents, KeepOneOfMessagesThatSayTheSame) {
  ClientEvents events("");
  for (int i = 0; i < 100; ++i) events.put(MessageEvent{"t", "rebirth"});
  EXPECT_EQ(events.take().events.size(), 1U);
}

TEST(SparkplugClientEvents, KeepEachMessageWhereEachCounts) {
  ClientEvents events("", true);
  for (int i = 0; i < 3; ++i) events.put(MessageEvent{"t", "write"});
  EXPECT_EQ(events.take().events.size(), 3U);
}

TEST(SparkplugClientEvents, KeepTheNewestOfManyStates) {
  ClientEvents events("S");
  for (int i = 1; i <= 1'000; ++i) events.put(state(i, i % 2 == 0));
  events.put(state(7, false));
  const auto taken = events.take().events;
  ASSERT_EQ(taken.size(), ClientEvents::kStatesMost);
  EXPECT_EQ(std::get<MessageEvent>(taken.back()).payload, state(1'000, true).payload);
  events.put(state(9, true));
  events.put(ConnectEvent{});
  events.put(state(3, false));
  EXPECT_EQ(events.take().events.size(), 3U) << "another connection's word stays behind it";
}

}  // namespace
}  // namespace tidegate::uplink::testing
