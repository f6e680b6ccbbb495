// A broker behind the daemon that is told only what is durable: [[driver.mqtt]] with ack = "durable".
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <utility>

#include "tests/integration/relay_rig.h"
#include "tests/integration/values_in.h"
#include "tests/support/test_authority.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr const char* kAccepted = "tidegate_readings_accepted_total{driver=\"local\"}";

std::string durable(std::string relay, const std::string& protocol) {
  const std::string name = "name = \"local\"\n";
  relay.insert(relay.find(name) + name.size(), "ack = \"durable\"\nprotocol = \"" + protocol + "\"\n");
  return relay;
}

std::size_t logged_values(const GatewayProcess& gateway) {
  const auto listed =
      run_to_end({program_path(), "tail", "--data-dir", gateway.data_directory(), "--from", "0"}, {}, seconds(30));
  EXPECT_EQ(listed.end.exit_code, 0) << listed.errors;
  return lines_with(listed.output, "\"value\"").size();
}

/// The source broker logs each acknowledgement that it gets.
class DurableRelay {
 public:
  DurableRelay(RelayRig::Load load, const std::string& protocol, const std::string& buffer, int inflight_max = 500)
      : rig_(load, "all") {
    rig_.source().stop();
    rig_.source().set_configuration("max_queued_messages 0\nmax_inflight_messages " + std::to_string(inflight_max) +
                                    "\nlog_type all\npersistence true\npersistence_location {dir}/\n");
    rig_.source().start();
    rig_.gateway().configure("[buffer]\n" + buffer +
                             durable(relay_config(rig_.source().port(), rig_.target().port()), protocol));
    rig_.start_gateway();
  }
  RelayRig& operator*() { return rig_; }
  RelayRig* operator->() { return &rig_; }
  std::size_t logged() { return logged_values(rig_.gateway()); }

 private:
  RelayRig rig_;
};

void keep_all_through_kills(const std::string& protocol) {
  DurableRelay rig({4'000, 2'000}, protocol, "sync_interval = \"50ms\"\n");
  rig->publisher().start();
  for (const std::size_t kill_at : {500U, 1'500U}) {
    ASSERT_TRUE(wait_until([&] { return rig->acknowledged_by_gateway() >= kill_at; }, seconds(30)));
    rig->gateway().kill();
    const std::size_t logged = rig.logged();
    EXPECT_LE(rig->acknowledged_by_gateway(), logged) << "acknowledged and not in the log";
    rig->gateway().start();
  }
  EXPECT_TRUE(rig->publisher().wait_for_all(seconds(60)));
  rig->expect_all_arrived(seconds(60), 2);
  rig->gateway().stop();
}

TEST(KillShort, TheDurableRelayKeepsWhatItAcknowledged) { keep_all_through_kills("3.1.1"); }
TEST(KillShort, TheDurableRelayKeepsWhatItAcknowledgedInVersion5) { keep_all_through_kills("5"); }

/// A subscriber that is not ours, with a session as ours: what it gets is what the broker had.
std::unique_ptr<ProcessUnderTest> listen_beside(const MosquittoBroker& broker) {
  ProcessUnderTest::Options listen;
  listen.arguments = {"/usr/bin/mosquitto_sub",
                      "-h",
                      "127.0.0.1",
                      "-p",
                      std::to_string(broker.port()),
                      "-t",
                      "plant/#",
                      "-c",
                      "-i",
                      "beside",
                      "-q",
                      "1"};
  auto process = std::make_unique<ProcessUnderTest>(std::move(listen));
  EXPECT_TRUE(broker.wait_for_log("beside 1 plant/#"));
  return process;
}

// The broker saves its sessions and comes back. It sends again what it had sent and seen no acknowledgement for, and so
// does the publisher to it: with a subscription of QoS 1 nobody can tell that from news, whatever was published. One
// message more, behind all others, shows when everything is through.
void keep_all_through_restarts_of_the_broker(int qos) {
  constexpr int kRestarts = 3;
  // More than the publisher has open. Of QoS 2 beyond this, mosquitto 2.0.11 loses some when it restarts, for every
  // subscriber.
  constexpr int kInflightMax = 2'000;
  constexpr std::uint64_t kCount = 8'000;
  DurableRelay rig({kCount, 2'000, qos}, "5", "sync_interval = \"50ms\"\n", kInflightMax);
  const auto beside = listen_beside(rig->source());
  rig->publisher().start();
  for (int i = 1; i <= kRestarts; ++i) {
    ASSERT_TRUE(rig->publisher().wait_for_acknowledged(static_cast<std::uint64_t>(i) * 1'500, seconds(60)));
    rig->source().restart();
  }
  ASSERT_TRUE(rig->publisher().wait_for_all(seconds(60))) << rig->publisher().acknowledged();
  const auto last =
      run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(rig->source().port()), "-q", "1",
                  "-t", "plant/last/temp", "-m", "{\"value\":" + std::to_string(kCount) + "}"});
  ASSERT_EQ(last.end.exit_code, 0) << last.errors;
  ASSERT_TRUE(wait_until([&] { return values_in(beside->output()).contains(kCount); }, seconds(60)));
  ASSERT_TRUE(wait_until([&] { return !rig->gateway().tail("readings", "last/temp").empty(); }, seconds(60)))
      << rig->gateway().log();
  const std::vector<std::string> records = rig->gateway().tail("readings", "\"value\"");
  std::set<std::uint64_t> logged;
  for (const std::string& record : records) logged.merge(values_in(record));
  EXPECT_EQ(logged, values_in(beside->output())) << "all that the broker had, and nothing else";
  EXPECT_EQ(logged.size(), kCount + 1);
  std::printf("QoS %d: %zu different ones in %zu records\n", qos, logged.size(), records.size());
  rig->gateway().stop();
}

TEST(DurableRelayShort, LosesNothingOverRestartsOfTheBroker) { keep_all_through_restarts_of_the_broker(1); }
TEST(DurableRelayShort, LosesNothingPublishedWithQos2OverRestartsOfTheBroker) {
  keep_all_through_restarts_of_the_broker(2);
}

/// A broker of which every acknowledgement is seen, and a driver of it.
class AcknowledgedBroker {
 public:
  explicit AcknowledgedBroker(std::string name)
      : name_(std::move(name)), broker_("max_queued_messages 0\nmax_inflight_messages 500\nlog_type all\n") {
    broker_.start();
  }
  std::string driver(const std::string& ack) const {
    return "[[driver.mqtt]]\nname = \"" + name_ + "\"\nack = \"" + ack + "\"\nbroker = \"" + broker_.uri() +
           "\"\n  [[driver.mqtt.subscribe]]\n  topic = \"" + name_ + "/{device}/{tag}\"\n  value = \"/value\"\n";
  }
  MosquittoBroker& operator*() { return broker_; }
  std::size_t acknowledged() const { return lines_with(broker_.log(), "Received PUBACK from ").size(); }
  void publish(int count) const {
    std::string lines;
    for (int value = 1; value <= count; ++value) lines += "{\"value\":" + std::to_string(value) + "}\n";
    const std::string file = broker_.directory() + "/lines";
    write_file(file, lines);
    const auto done = run_to_end({"/bin/sh", "-c",
                                  "mosquitto_pub -h 127.0.0.1 -p " + std::to_string(broker_.port()) + " -q 1 -t " +
                                      name_ + "/" + name_ + "/count -l < " + file});
    EXPECT_EQ(done.end.exit_code, 0) << done.errors;
  }
  /// How many readings of it the log holds, and how many different ones.
  std::pair<std::size_t, std::size_t> logged(const GatewayProcess& gateway) const {
    const auto records = gateway.tail("readings", "\"tag\":\"" + name_ + "/count\"");
    std::set<std::string> values;
    for (const std::string& record : records) {
      const auto at = record.find("\"value\":");
      if (at != std::string::npos) values.insert(record.substr(at, record.find_first_of(",}", at) - at));
    }
    return {records.size(), values.size()};
  }

 private:
  const std::string name_;
  MosquittoBroker broker_;
};

// Two brokers in one configuration: each is told what its driver was asked for, and neither waits for the other.
TEST(KillShort, OneBrokerOfTwoIsAcknowledgedWhenDurable) {
  constexpr int kCount = 200;
  AcknowledgedBroker durable_one("line");
  AcknowledgedBroker written_one("hall");
  GatewayProcess gateway;
  gateway.configure("[buffer]\nsync_interval = \"1m\"\n" + durable_one.driver("durable") +
                    written_one.driver("written"));
  gateway.start();
  for (const char* name : {"line", "hall"}) {
    const std::string up = "tidegate_driver_up{driver=\"" + std::string(name) + "\"}";
    ASSERT_TRUE(gateway.wait_for_metric(up, 1, seconds(30))) << gateway.log();
  }
  durable_one.publish(kCount);
  written_one.publish(kCount);
  for (const char* name : {"line", "hall"}) {
    const std::string accepted = "tidegate_readings_accepted_total{driver=\"" + std::string(name) + "\"}";
    ASSERT_TRUE(gateway.wait_for_metric(accepted, kCount, seconds(30))) << gateway.log();
  }
  EXPECT_TRUE(wait_until([&] { return written_one.acknowledged() == kCount; }, seconds(30)));
  EXPECT_EQ(durable_one.acknowledged(), 0U);
  gateway.kill();
  gateway.start();
  EXPECT_TRUE(wait_until([&] { return durable_one.logged(gateway).first == 2 * kCount; }, seconds(30)))
      << "what was not acknowledged comes again, as news";
  EXPECT_EQ(durable_one.logged(gateway).second, kCount);
  gateway.stop();
  EXPECT_TRUE(wait_until([&] { return durable_one.acknowledged() == kCount; }, seconds(30)));
  EXPECT_EQ(written_one.acknowledged(), kCount);
  gateway.start();
  EXPECT_EQ(written_one.logged(gateway), std::pair(std::size_t{kCount}, std::size_t{kCount}));
  EXPECT_EQ(durable_one.logged(gateway), std::pair(std::size_t{2 * kCount}, std::size_t{kCount}));
  gateway.stop();
}

// Nothing is synced for a minute, unless the daemon is stopped.
void acknowledge_with_the_sync(const std::string& protocol) {
  constexpr std::size_t kCount = 200;
  DurableRelay rig({kCount, 0}, protocol, "sync_interval = \"1m\"\n");
  rig->publisher().start();
  ASSERT_TRUE(rig->gateway().wait_for_metric(kAccepted, kCount, seconds(30))) << rig->gateway().log();
  EXPECT_EQ(rig->acknowledged_by_gateway(), 0U) << "written is not durable";
  rig->gateway().stop();
  EXPECT_TRUE(wait_until([&] { return rig->acknowledged_by_gateway() == kCount; }, seconds(10)))
      << rig->acknowledged_by_gateway() << " acknowledged on the way out";
  rig->gateway().start();
  rig->expect_all_arrived(seconds(30));
  EXPECT_EQ(rig->checker().report().taken_twice, 0U);
  rig->gateway().stop();
}

TEST(DurableRelayShort, AcknowledgesWithTheSync) { acknowledge_with_the_sync("3.1.1"); }
TEST(DurableRelayShort, AcknowledgesWithTheSyncInVersion5) { acknowledge_with_the_sync("5"); }

// While the core is held up, messages wait in memory, and the broker has an acknowledgement of none of them.
TEST(KillShort, TheDurableRelayAcknowledgesNothingOfWhatWaitsInMemory) {
  DurableRelay rig({5'000, 0}, "5", "sync_interval = \"50ms\"\n");
  const std::string hold = rig->gateway().directory() + "/hold";
  rig->gateway().stop();
  write_file(hold, "");
  rig->gateway().start({{"TIDEGATE_TEST_HOLD_CORE", hold}});
  rig->publisher().start();
  ASSERT_TRUE(rig->gateway().wait_for_metric("tidegate_driver_queue_bytes{driver=\"local\"}", 100'000, seconds(30)))
      << rig->gateway().log();
  EXPECT_EQ(rig->gateway().metric(kAccepted), 0) << "nothing of it is in the log";
  EXPECT_EQ(rig->acknowledged_by_gateway(), 0U);
  rig->gateway().kill();
  EXPECT_EQ(rig->acknowledged_by_gateway(), 0U);
  rig->gateway().start();
  EXPECT_TRUE(rig->publisher().wait_for_all(seconds(60)));
  rig->expect_all_arrived(seconds(60), 1);
  EXPECT_EQ(rig->checker().report().taken_twice, 0U);
  rig->gateway().stop();
}

// A daemon with ack = "written" is killed while all messages, acknowledged, wait in its queue; the next one has ack =
// "durable", and is killed itself before it could take one of them. Returns how many never came.
std::uint64_t lost_on_the_way_to_durable(const std::map<std::string, std::string>& environment) {
  constexpr std::uint64_t kCount = 2'000;
  RelayRig rig({kCount, 0}, "all");
  const std::string hold = rig.gateway().directory() + "/hold";
  auto held = environment;
  held["TIDEGATE_TEST_HOLD_CORE"] = hold;
  rig.start_gateway(held);
  write_file(hold, "");
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(60)));
  EXPECT_TRUE(wait_until([&] { return rig.acknowledged_by_gateway() == kCount; }, seconds(60)));
  rig.gateway().kill();
  EXPECT_EQ(logged_values(rig.gateway()), 0U) << "all of them wait in the queue";
  rig.gateway().configure(durable(relay_config(rig.source().port(), rig.target().port()), "5"));
  rig.gateway().start(held);
  rig.gateway().kill();
  rig.gateway().start(environment);
  EXPECT_TRUE(rig.gateway().wait_for_metric("tidegate_driver_up{driver=\"local\"}", 1, seconds(30)));
  const double accepted = rig.gateway().metric(kAccepted);
  rig.checker().wait_for([&](const DeliveryReport& report) { return static_cast<double>(report.distinct) >= accepted; },
                         seconds(20));
  rig.checker().wait_for_quiet(seconds(1));
  const auto report = rig.checker().report();
  EXPECT_EQ(report.defects(), 0U) << ::testing::PrintToString(report.complaints) << rig.gateway().log();
  EXPECT_EQ(report.taken_twice, 0U);
  EXPECT_EQ(rig.acknowledged_by_gateway(), kCount) << "nothing came a second time";
  if (environment.empty()) {
    const std::string queue = rig.gateway().data_directory() + "/run/mqtt-local.queue";
    EXPECT_TRUE(wait_until([&] { return ::access(queue.c_str(), F_OK) != 0; }, seconds(30))) << queue;
  }
  rig.gateway().stop();
  EXPECT_EQ(logged_values(rig.gateway()), report.distinct);
  return kCount - report.distinct;
}

TEST(KillShort, TheDurableDriverTakesWhatTheWrittenOneHadAcknowledged) {
  EXPECT_EQ(lost_on_the_way_to_durable({}), 0U);
}

// The same with a queue that nobody finds again, to show that the test above can be red.
TEST(KillShort, TheDurableDriverWouldLoseWhatItDoesNotFind) {
  EXPECT_EQ(lost_on_the_way_to_durable({{"TIDEGATE_TEST_PLAIN_QUEUE", "1"}}), 2'000U);
}

// The log takes nothing while the target is away and the ring is full: the source waits, its connection stays, and
// nothing is lost.
void expect_held_back(RelayRig& rig, const std::string& relay) {
  rig.target().stop();
  rig.gateway().configure("[buffer]\nsize = \"1MiB\"\ncompact = false\nwhen_full = \"block\"\n" + relay +
                          "reconnect_most = \"1s\"\n");
  rig.start_gateway();
  rig.publisher().start();
  EXPECT_TRUE(wait_until([&] { return rig.gateway().metric("tidegate_log_taking_records") == 0; }, seconds(120)));
  EXPECT_LT(rig.watch_memory(seconds(3)), std::uint64_t{64} << 20) << "memory does not grow with what waits";
  EXPECT_EQ(rig.gateway().metric("tidegate_driver_up{driver=\"local\"}"), 1);
  rig.target().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120));
  rig.gateway().stop();
}

TEST(DurableRelay, HoldsBackABrokerThatIsAcknowledgedWhenDurable) {
  RelayRig rig({340'000, 0});
  expect_held_back(rig, durable(relay_config(rig.source().port(), rig.target().port()), "5"));
}

// Its queue is full then, and the client of the uplink on the same thread makes the room.
TEST(DurableRelay, HoldsBackABrokerThatIsAcknowledgedWhenWritten) {
  RelayRig rig({340'000, 0});
  expect_held_back(rig, relay_config(rig.source().port(), rig.target().port()));
}

TEST(DurableRelayShort, TakesMessagesOverTls) {
  const TestAuthority authority;
  authority.make_authority("ca");
  authority.make_certificate("server", "ca", "IP:127.0.0.1");
  MosquittoBroker broker("cafile " + authority.certificate("ca") + "\ncertfile " + authority.certificate("server") +
                         "\nkeyfile " + authority.key("server") + "\n");
  broker.start();
  GatewayProcess gateway;
  gateway.configure("[[driver.mqtt]]\nname = \"local\"\nack = \"durable\"\nbroker = \"mqtts://" + broker.address() +
                    "\"\n  [driver.mqtt.tls]\n  ca = \"" + authority.certificate("ca") +
                    "\"\n  [[driver.mqtt.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  value = \"/value\"\n");
  gateway.start();
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_driver_up{driver=\"local\"}", 1, seconds(20))) << gateway.log();
  const auto published =
      run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(broker.port()), "--cafile",
                  authority.certificate("ca"), "-q", "1", "-t", "plant/pump/rpm", "-m", "{\"value\":7}"},
                 {}, seconds(20));
  ASSERT_EQ(published.end.exit_code, 0) << published.errors;
  EXPECT_TRUE(gateway.wait_for_metric(kAccepted, 1, seconds(20)));
  gateway.stop();
}

}  // namespace
}  // namespace tidegate::testing
