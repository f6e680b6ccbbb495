#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/kafka_cluster.h"
#include "tests/support/kafka_records.h"
#include "tests/support/network.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using tidegate::testing::free_port;
using tidegate::testing::KafkaCluster;
using tidegate::testing::KafkaRecords;
using tidegate::testing::NumberedReadings;
using tidegate::testing::read_kafka_records;

constexpr seconds kPatience{120};

class KafkaTransportTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kReadings = 20'000;

  KafkaTransportTest() {
    readings_.count = kReadings;
    options_.topic = "plant.{stream}";
    options_.forwarder.name = "fleet";
    options_.forwarder.batch_readings_max = 100;
    options_.forwarder.batch_delay_max = milliseconds(10);
    options_.forwarder.retry_first = milliseconds(10);
    options_.forwarder.retry_most = milliseconds(50);
  }

  void make_cluster(int brokers) {
    cluster_ = std::make_unique<KafkaCluster>(brokers);
    cluster_->create_topic("plant.readings", 4);
    options_.brokers = cluster_->brokers();
  }
  std::unique_ptr<UplinkHarness> start_uplink(const Cursor& cursor = {{1, 0}, {1, 0}}) {
    auto uplink = std::make_unique<UplinkHarness>(options_.forwarder, readings_);
    const auto make = [this](TransportHandlers handlers) {
      return make_kafka_transport(options_, "gw", std::move(handlers));
    };
    const auto started = uplink->start(make, cursor);
    EXPECT_TRUE(started) << started.error().message;
    return uplink;
  }
  KafkaRecords read_back() const {
    auto records = read_kafka_records(options_.brokers, "plant.readings", readings_);
    EXPECT_EQ(records.defects(), 0U) << ::testing::PrintToString(records.complaints);
    EXPECT_EQ(records.distinct, kReadings);
    return records;
  }
  // Delivers everything, with `disturb` when a third and when two thirds are announced.
  void deliver_through(const std::function<void(UplinkHarness&, int)>& disturb) {
    uplink_ = start_uplink();
    for (int third = 1; third <= 3; ++third) {
      uplink_->announce(kReadings * static_cast<std::uint64_t>(third) / 3);
      if (third < 3) disturb(*uplink_, third);
    }
    uplink_->announce(kReadings);
    ASSERT_TRUE(uplink_->run_until([&] { return uplink_->delivered() == kReadings; }, kPatience))
        << uplink_->delivered() << ::testing::PrintToString(uplink_->troubles());
  }

  // The first hundred are delivered; then the broker is gone, and all the rest is there.
  void lose_the_broker_with_readings_waiting() {
    uplink_ = start_uplink();
    uplink_->announce(100);
    ASSERT_TRUE(uplink_->run_until([&] { return uplink_->delivered() == 100; }, kPatience));
    cluster_->set_up(1, false);
    uplink_->announce(kReadings);
    ASSERT_TRUE(uplink_->run_until([&] { return !uplink_->troubles().empty(); }, kPatience));
  }

  std::unique_ptr<KafkaCluster> cluster_;
  NumberedReadings readings_;
  KafkaUplinkOptions options_;
  std::unique_ptr<UplinkHarness> uplink_;
};

TEST_F(KafkaTransportTest, ProducesEveryRecordOnceInTheOrderOfItsKey) {
  make_cluster(1);
  deliver_through([](UplinkHarness&, int) {});
  const auto records = read_back();
  EXPECT_EQ(records.repeats, 0U);
  EXPECT_EQ(uplink_->failures(), 0U);
}

TEST_F(KafkaTransportTest, CompressesAsItIsTold) {
  for (const char* const compression : {"gzip", "snappy", "lz4", "zstd"}) {
    make_cluster(1);
    options_.compression = compression;
    deliver_through([](UplinkHarness&, int) {});
    EXPECT_EQ(read_back().repeats, 0U) << compression;
  }
}

TEST_F(KafkaTransportTest, RepeatsNothingForErrorsThatPass) {
  make_cluster(1);
  deliver_through([this](UplinkHarness& uplink, int) {
    cluster_->refuse_to_produce({RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                                 RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                 RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND});
    ASSERT_TRUE(uplink.run_until([this] { return cluster_->refusals_left() == 0; }, kPatience));
  });
  EXPECT_EQ(read_back().repeats, 0U);
  EXPECT_EQ(uplink_->failures(), 0U);
}

TEST_F(KafkaTransportTest, LosesNothingAndKeepsTheOrderThroughErrorsThatEndTheProducer) {
  make_cluster(1);
  for (const auto error : {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE}) {
    deliver_through([&](UplinkHarness& uplink, int) {
      const auto failures = uplink.failures();
      cluster_->refuse_to_produce({error});
      ASSERT_TRUE(uplink.run_until([&] { return uplink.failures() > failures; }, kPatience));
    });
    read_back();
    const bool is_of_message = error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    EXPECT_THAT(is_of_message ? uplink_->refusal() : ::testing::PrintToString(uplink_->troubles()),
                HasSubstr("topic plant.readings "));
    EXPECT_EQ(uplink_->trouble(), "");
  }
}

TEST_F(KafkaTransportTest, FollowsTheLeaders) {
  make_cluster(3);
  deliver_through([this](UplinkHarness& uplink, int third) {
    const auto before = uplink.delivered();
    for (int partition = 0; partition < 4; ++partition) {
      cluster_->set_leader("plant.readings", partition, (partition + third) % 3 + 1);
    }
    ASSERT_TRUE(uplink.run_until([&] { return uplink.delivered() > before; }, kPatience));
  });
  EXPECT_EQ(read_back().repeats, 0U);
}

TEST_F(KafkaTransportTest, GoesOnWhereItWasAfterAnOutageOfAllBrokers) {
  make_cluster(1);
  deliver_through([this](UplinkHarness& uplink, int third) {
    const auto before = uplink.delivered();
    ASSERT_TRUE(uplink.run_until([&] { return uplink.delivered() > before; }, kPatience));
    cluster_->set_up(1, false);
    const auto told = static_cast<std::size_t>(2 * third - 1);
    ASSERT_TRUE(uplink.run_until([&] { return uplink.troubles().size() == told; }, kPatience));
    cluster_->set_up(1, true);
    ASSERT_TRUE(uplink.run_until([&] { return uplink.troubles().size() == told + 1; }, kPatience));
  });
  EXPECT_THAT(uplink_->troubles().front(), AnyOf(HasSubstr("Connection refused"), HasSubstr("Disconnected")));
  EXPECT_EQ(uplink_->troubles().back(), "");
  read_back();
}

TEST_F(KafkaTransportTest, HoldsBatchesBackWhileEnoughMessagesAreOnTheirWay) {
  make_cluster(1);
  options_.forwarder.batch_readings_max = 1'000;
  options_.forwarder.inflight_max = 32;  // more than the library is given at a time
  ASSERT_NO_FATAL_FAILURE(lose_the_broker_with_readings_waiting());
  cluster_->set_up(1, true);
  ASSERT_TRUE(uplink_->run_until([&] { return uplink_->delivered() == kReadings; }, kPatience)) << uplink_->delivered();
  read_back();
}

TEST_F(KafkaTransportTest, ReportsWhatItHeldBackWhenItIsStopped) {
  make_cluster(1);
  options_.forwarder.batch_readings_max = 1'000;
  options_.forwarder.inflight_max = 32;
  ASSERT_NO_FATAL_FAILURE(lose_the_broker_with_readings_waiting());
  uplink_->stop(milliseconds(10));
  // 19,900 readings at 1,000 a batch or less; the library has no more than nine of them.
  EXPECT_GE(uplink_->failures(), 20U);
}

TEST_F(KafkaTransportTest, SendsNoHeadersWhereItIsToldSo) {
  make_cluster(1);
  options_.headers = false;
  auto uplink = start_uplink();
  uplink->announce(100);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() == 100; }, kPatience));
  std::size_t messages = 0;
  tidegate::testing::read_kafka_topic(options_.brokers, "plant.readings",
                                      [&](const tidegate::testing::KafkaMessage& message) {
                                        ++messages;
                                        EXPECT_TRUE(message.headers.empty()) << message.value;
                                        EXPECT_THAT(message.value, HasSubstr(R"({"gateway":"gw","stream":"readings")"));
                                      });
  EXPECT_EQ(messages, 100U);
}

TEST_F(KafkaTransportTest, SaysWhyItIsNotUp) {
  options_.brokers = {"127.0.0.1:" + std::to_string(free_port())};
  std::vector<std::string> details;
  std::mutex mutex;
  std::condition_variable told;
  const auto transport = make_kafka_transport(options_, "gw",
                                              {[](std::uint64_t, bool) {},
                                               [&](bool up, const std::string& detail) {
                                                 const std::lock_guard lock(mutex);
                                                 details.push_back(up ? "up" : detail);
                                                 told.notify_all();
                                               }});
  ASSERT_TRUE(transport->start());
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(told.wait_for(lock, kPatience, [&] { return !details.empty(); }));
  }
  transport->stop(Duration::zero());
  EXPECT_THAT(details.front(), HasSubstr("Connection refused"));
}

TEST_F(KafkaTransportTest, HasProducedWhatWasHandedOverWhenItIsStopped) {
  make_cluster(1);
  auto uplink = start_uplink();
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() > kReadings / 4; }, kPatience));
  uplink->stop(kPatience);
  const Cursor cursor = uplink->cursor();
  uplink = start_uplink(cursor);
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->cursor().acked_to.sequence == kReadings; }, kPatience));
  EXPECT_EQ(read_back().repeats, 0U);
}

TEST_F(KafkaTransportTest, GivesUpWhatNoBrokerTakesWhenItIsStopped) {
  make_cluster(1);
  ASSERT_NO_FATAL_FAILURE(lose_the_broker_with_readings_waiting());
  uplink_->stop(milliseconds(10));
  EXPECT_GT(uplink_->failures(), 0U);
}

// Those of this process that lead to a port of 127.0.0.1.
std::vector<int> sockets_to(std::uint16_t port) {
  constexpr int kDescriptorsMost = 1024;
  std::vector<int> found;
  for (int socket = 0; socket < kDescriptorsMost; ++socket) {
    sockaddr_in peer{};
    socklen_t length = sizeof(peer);
    const int code = ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &length);
    if (code == 0 && peer.sin_family == AF_INET && ntohs(peer.sin_port) == port) found.push_back(socket);
  }
  return found;
}

int option_of(int socket, int level, int option) {
  int value = -1;
  socklen_t length = sizeof(value);
  ::getsockopt(socket, level, option, &value, &length);
  return value;
}

TEST_F(KafkaTransportTest, NoticesABrokerThatIsGoneWithoutAWord) {
  make_cluster(1);
  uplink_ = start_uplink();
  uplink_->announce(100);
  ASSERT_TRUE(uplink_->run_until([&] { return uplink_->delivered() == 100; }, kPatience));
  const std::string broker = options_.brokers.front();
  const auto sockets = sockets_to(static_cast<std::uint16_t>(std::stoul(broker.substr(broker.find(':') + 1))));
  EXPECT_FALSE(sockets.empty());
  for (const int socket : sockets) {
    EXPECT_EQ(option_of(socket, IPPROTO_TCP, TCP_USER_TIMEOUT), 60'000);
    EXPECT_EQ(option_of(socket, SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(option_of(socket, IPPROTO_TCP, TCP_KEEPIDLE), 15);
  }
}

/// What becomes of batches that are sent one by one.
class KafkaBatchesTest : public KafkaTransportTest {
 protected:
  struct Report {
    bool ok = false;
    std::string refusal{};
    bool operator==(const Report&) const = default;
  };
  KafkaBatchesTest() {
    make_cluster(1);
    TransportHandlers handlers;
    handlers.done = [this](std::uint64_t id, bool ok) { note(id, {ok}); };
    handlers.failed = [this](std::uint64_t id, const BatchFailure& how) { note(id, {false, how.refusal}); };
    handlers.link = [](bool, const std::string&) {};
    handlers.trouble = [](const std::string&) {};
    transport_ = make_kafka_transport(options_, "gw", std::move(handlers));
    EXPECT_TRUE(transport_->start());
  }
  ~KafkaBatchesTest() override { transport_->stop(Duration::zero()); }

  /// The reading with that number as a batch of its own.
  void send(std::uint64_t id, std::uint64_t number, Lane lane, bool is_batch = true) {
    const std::string entry = R"({"seq":)" + std::to_string(number) + R"(,"tag":"a/b","time":1,"value":1})";
    OutgoingBatch batch;
    batch.id = id << 19U | static_cast<std::uint64_t>(lane) << 18U;
    EXPECT_EQ(Forwarder::lane_of(batch.id), LaneOf(Stream::readings, lane));
    batch.epoch = 1;
    batch.from = batch.to = number;
    batch.count = 1;
    batch.payload = std::make_shared<const std::string>(is_batch ? R"({"sent":5,"readings":[)" + entry + "]}" : "no");
    transport_->send(batch);
  }
  Report wait_for(std::uint64_t id) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return reports_.count(id) != 0; }));
    return reports_[id];
  }

 private:
  void note(std::uint64_t id, Report report) {
    const std::lock_guard lock(mutex_);
    reports_[id >> 19U] = std::move(report);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Report> reports_;
  std::unique_ptr<Transport> transport_;
};

TEST_F(KafkaBatchesTest, RefusesWhatNoMessageCanBeMadeOf) {
  send(1, 100, Lane::live, false);
  EXPECT_THAT(wait_for(1).refusal, HasSubstr("payload of stream readings is no batch"));
}

TEST_F(KafkaBatchesTest, KeepsTheOrderWithinALaneThoughTheOtherOneGoesOn) {
  send(1, 100, Lane::live, false);
  send(2, 10, Lane::backlog);
  send(3, 101, Lane::live);
  EXPECT_FALSE(wait_for(1).ok);
  EXPECT_TRUE(wait_for(2).ok);
  EXPECT_EQ(wait_for(3), Report{}) << "it comes too early";
  send(4, 11, Lane::backlog, false);
  send(5, 100, Lane::live);
  send(6, 101, Lane::live);
  send(7, 12, Lane::backlog);
  EXPECT_FALSE(wait_for(4).ok);
  EXPECT_TRUE(wait_for(5).ok);
  EXPECT_TRUE(wait_for(6).ok) << "what is current does not wait for the backlog";
  EXPECT_EQ(wait_for(7), Report{});
}

TEST_F(KafkaTransportTest, RefusesATopicThatIsNone) {
  options_.brokers = {"127.0.0.1:1"};
  options_.topic = "plant/{stream}";
  const auto transport =
      make_kafka_transport(options_, "gw", {[](std::uint64_t, bool) {}, [](bool, const std::string&) {}});
  const auto started = transport->start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("topic \"plant/readings\" is none of Kafka's"));
}

}  // namespace
}  // namespace tidegate::uplink::testing
