// One daemon, four uplinks of four kinds, and a network between that is bad for one of them at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/integration/http_receiver.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/kafka_cluster.h"
#include "tests/support/kafka_records.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/sparkplug_batches.h"
#include "tests/support/sparkplug_host.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr seconds kPatience{90};

std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.find(':') + 1)));
}

const char* name_of(const NetworkFault& fault) {
  if (fault.swallows) return "a half-open connection";
  if (fault.resets) return "resets";
  if (fault.delay > milliseconds(0)) return "delay";
  if (fault.bytes_per_second > 0) return "few bytes a second";
  return "flapping";
}

/// A Sparkplug host that puts the batches together again, and looks at them as at those of the format json.
class SparkplugReceiver {
 public:
  SparkplugReceiver(std::uint16_t port, const NumberedReadings& readings)
      : checker_(readings), batches_([this](const std::string& payload) { checker_.take(payload); }), host_(port) {
    host_.watch({[this] {
                   const std::lock_guard lock(mutex_);
                   batches_.begin();
                 },
                 [this](const std::string& metric, const SparkplugValueSeen& value) {
                   const std::lock_guard lock(mutex_);
                   batches_.take(metric, value);
                 }});
    host_.start();
  }

  DeliveryReport report() const {
    const std::lock_guard lock(mutex_);
    return checker_.report();
  }
  std::uint64_t historical() const {
    const std::lock_guard lock(mutex_);
    return batches_.historical();
  }
  std::uint64_t broken_off() const {
    const std::lock_guard lock(mutex_);
    return batches_.broken_off();
  }
  /// Of messages, and of batches as messages.
  std::vector<std::string> defects() const {
    std::vector<std::string> all = host_.report().defects;
    const std::lock_guard lock(mutex_);
    all.insert(all.end(), batches_.defects().begin(), batches_.defects().end());
    return all;
  }
  std::size_t births() const { return host_.report().births.size(); }

 private:
  mutable std::mutex mutex_;
  BatchChecker checker_;
  SparkplugBatches batches_;
  SparkplugHost host_;  // last: its thread uses the rest
};

/// Publisher -> broker -> the daemon -> a proxy each -> a broker, an HTTP server, the mock cluster of Kafka, and the
/// broker once more, as a Sparkplug node.
class NetworkFaultsRig {
 public:
  enum Uplink : std::uint8_t { cloud, lake, fleet, scada };
  static constexpr std::array<const char*, 4> kNames{"cloud", "lake", "fleet", "scada"};
  static constexpr std::array<Uplink, 4> kUplinks{cloud, lake, fleet, scada};

  NetworkFaultsRig(std::uint64_t count, double rate)
      : readings_{count},
        source_("max_queued_messages 0\nlog_type subscribe\n"),
        target_("max_queued_messages 0\n"),
        receiver_(false) {
    source_.start();
    target_.start();
    cluster_.create_topic("tidegate.readings", kPartitions);
    const std::uint16_t broker = port_of(cluster_.brokers().front());
    for (const std::uint16_t port : {target_.port(), receiver_.server().port(), broker, target_.port()}) {
      proxies_.push_back(std::make_unique<FaultProxy>(port));
    }
    proxies_[fleet]->rewrite_answers(advertise_port(broker, proxies_[fleet]->port()));
    checker_ = std::make_unique<BatchSubscriber>(target_.port(), "tidegate/#", readings_);
    checker_->start();
    host_ = std::make_unique<SparkplugReceiver>(target_.port(), readings_);
    publisher_ = std::make_unique<NumberedPublisher>(NumberedPublisher::Options{source_.port(), readings_, rate, 1});
    start_gateway();
  }

  /// Until so many readings are published the network is bad for one uplink, and the others have to go on meanwhile.
  /// Ends when that one has everything, too.
  void deliver_beside(Uplink faulty, const NetworkFault& fault, std::uint64_t until) {
    FaultProxy& proxy = *proxies_[faulty];
    const FaultProxy::Counts before = proxy.counts();
    const auto start = std::chrono::steady_clock::now();
    proxy.set(fault);
    publisher_->pause_before(until);
    ASSERT_TRUE(publisher_->wait_for_acknowledged(until, kPatience));
    const auto published = static_cast<double>(until);
    for (const Uplink other : kUplinks) {
      if (other == faulty) continue;
      const auto began = std::chrono::steady_clock::now();
      EXPECT_TRUE(wait_until([&] { return delivered(other) >= 0.95 * published; }, kPatience))
          << kNames[other] << " while " << kNames[faulty] << " is faulty: " << delivered(other) << " of " << published;
      const auto lag = std::chrono::steady_clock::now() - began;
      longest_lag_ = std::max(longest_lag_, lag);
      if (lag > milliseconds(100)) {
        std::printf("%s was late by %.1f s\n", kNames[other], std::chrono::duration<double>(lag).count());
      }
    }
    expect_was_felt(fault, before, proxy.counts());
    note_memory();
    proxy.set({});
    ASSERT_TRUE(wait_until([&] { return delivered(faulty) >= published; }, kPatience))
        << kNames[faulty] << ": " << delivered(faulty) << " of " << published << gateway_.log();
    note_memory();
    std::printf("%s had all after %.1f s of %s\n", kNames[faulty],
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), name_of(fault));
  }

  void expect_all_arrived() {
    publisher_->pause_before(readings_.count);
    EXPECT_TRUE(publisher_->wait_for_all(kPatience));
    expect_all_at_broker();
    expect_all_at_server();
    expect_all_in_kafka();
    expect_all_at_host();
    note_memory();
    for (const char* name : kNames) {
      const std::string labels = R"({stream="readings",uplink=")" + std::string(name) + "\"}";
      EXPECT_EQ(gateway_.metric("tidegate_uplink_account_mismatch" + labels), 0) << name;
    }
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "the daemon said: " << gateway_.log();
    std::printf("resident at first %.1f MiB, most %.1f MiB; the others were late by %.1f s at the most\n",
                static_cast<double>(memory_at_first_) / kMiB, static_cast<double>(memory_most_) / kMiB,
                std::chrono::duration<double>(longest_lag_).count());
    gateway_.stop();
  }

  std::uint64_t memory_growth() const { return memory_most_ - memory_at_first_; }
  std::chrono::steady_clock::duration longest_lag() const { return longest_lag_; }
  std::size_t births_of_node() const { return host_->births(); }
  std::uint64_t historical_of_node() const { return host_->historical(); }
  NumberedPublisher& publisher() { return *publisher_; }
  /// All is well until so many are published; what is there then counts as the memory at first.
  void warm_up(std::uint64_t until) {
    publisher_->pause_before(until);
    publisher_->start();
    const auto published = static_cast<double>(until);
    for (const Uplink uplink : kUplinks) {
      ASSERT_TRUE(wait_until([&] { return delivered(uplink) >= published; }, kPatience))
          << kNames[uplink] << gateway_.log();
    }
    memory_at_first_ = memory_most_ = gateway_.process().resident_bytes();
  }

 private:
  // The mock cluster keeps the last 5 MB of each.
  static constexpr int kPartitions = 64;

  void start_gateway() {
    const std::string batch = "batch = { max_delay = \"100ms\", max_readings = 200 }\nretry_most = \"1s\"\n";
    const std::string relay = relay_config(source_.port(), proxies_[cloud]->port());
    gateway_.configure(relay + "keep_alive = \"5s\"\n" + batch + "[[uplink.http]]\nname = \"lake\"\nurl = \"http://" +
                       proxies_[lake]->address() + "/in\"\ntimeout = \"3s\"\n" + batch +
                       "[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"" + proxies_[fleet]->address() + "\"]\n" +
                       batch + "[[uplink.mqtt]]\nname = \"scada\"\nbroker = \"mqtt://" + proxies_[scada]->address() +
                       "\"\nformat = \"sparkplug\"\nsparkplug = { group = \"works\", node = \"gate\" }\n" +
                       "keep_alive = \"5s\"\nreconnect_most = \"1s\"\n" + batch);
    gateway_.start();
    const auto is_subscribed = [this] { return source_.log().find("plant/+/+") != std::string::npos; };
    if (!wait_until(is_subscribed, kPatience)) throw std::runtime_error(gateway_.log() + source_.log());
  }
  double delivered(Uplink uplink) const {
    return gateway_.metric("tidegate_readings_delivered_total{uplink=\"" + std::string(kNames[uplink]) +
                           "\",stream=\"readings\"}");
  }
  void note_memory() { memory_most_ = std::max(memory_most_, gateway_.process().resident_bytes()); }

  // Otherwise it would show nothing that all arrives.
  static void expect_was_felt(const NetworkFault& fault, const FaultProxy::Counts& before,
                              const FaultProxy::Counts& after) {
    if (fault.swallows) {
      EXPECT_GT(after.swallowed_bytes, before.swallowed_bytes);
    }
    if (fault.resets || fault.flap_period > milliseconds(0)) {
      EXPECT_GT(after.resets, before.resets);
    }
    if (fault.delay > milliseconds(0) || fault.bytes_per_second > 0) {
      EXPECT_GT(after.passed_bytes, before.passed_bytes);
    }
  }

  void expect_all_at_broker() {
    EXPECT_TRUE(checker_->wait_for_all(kPatience)) << ::testing::PrintToString(checker_->missing());
    const auto report = checker_->report();
    EXPECT_EQ(report.defects(), 0U) << ::testing::PrintToString(report.complaints);
    EXPECT_EQ(report.gap_records + report.taken_twice, 0U);
    std::printf("MQTT: %llu, repeats %llu\n", static_cast<unsigned long long>(report.distinct),
                static_cast<unsigned long long>(report.repeats));
  }
  void expect_all_at_server() {
    DeliveryReport report;
    std::size_t looked_at = 0;
    const auto has_all = [&] {
      if (receiver_.taken() == looked_at) return false;
      looked_at = receiver_.taken();
      report = receiver_.check(readings_);
      return report.distinct == readings_.count;
    };
    EXPECT_TRUE(wait_until(has_all, kPatience)) << report.distinct << " over HTTP";
    EXPECT_EQ(report.defects(), 0U) << ::testing::PrintToString(report.complaints);
    EXPECT_EQ(report.gap_records + report.taken_twice, 0U);
    std::printf("HTTP: %llu, repeats %llu\n", static_cast<unsigned long long>(report.distinct),
                static_cast<unsigned long long>(report.repeats));
  }
  void expect_all_in_kafka() {
    KafkaRecords records;
    const auto has_all = [&] {
      records = read_kafka_records(cluster_.brokers(), "tidegate.readings", readings_, kPatience);
      return records.distinct == readings_.count;
    };
    EXPECT_TRUE(wait_until(has_all, kPatience)) << records.distinct << " in Kafka";
    EXPECT_EQ(records.defects(), 0U) << ::testing::PrintToString(records.complaints);
    EXPECT_EQ(records.taken_twice, 0U);
    std::printf("Kafka: %llu, repeats %llu\n", static_cast<unsigned long long>(records.distinct),
                static_cast<unsigned long long>(records.repeats));
  }

  void expect_all_at_host() {
    EXPECT_TRUE(wait_until([&] { return host_->report().distinct == readings_.count; }, kPatience))
        << host_->report().distinct << " as a Sparkplug node";
    const auto report = host_->report();
    const auto defects = host_->defects();
    EXPECT_EQ(report.defects(), 0U) << ::testing::PrintToString(report.complaints);
    EXPECT_EQ(report.gap_records + report.taken_twice, 0U);
    EXPECT_TRUE(defects.empty()) << ::testing::PrintToString(defects);
    std::printf("Sparkplug: %llu, repeats %llu, historical %llu, batches broken off %llu, births %zu\n",
                static_cast<unsigned long long>(report.distinct), static_cast<unsigned long long>(report.repeats),
                static_cast<unsigned long long>(host_->historical()),
                static_cast<unsigned long long>(host_->broken_off()), host_->births());
  }

  const NumberedReadings readings_;
  MosquittoBroker source_;
  MosquittoBroker target_;
  HttpReceiver receiver_;
  KafkaCluster cluster_;
  std::vector<std::unique_ptr<FaultProxy>> proxies_;  // by Uplink
  GatewayProcess gateway_;
  std::unique_ptr<BatchSubscriber> checker_;
  std::unique_ptr<SparkplugReceiver> host_;
  std::unique_ptr<NumberedPublisher> publisher_;
  std::uint64_t memory_at_first_ = 0;
  std::uint64_t memory_most_ = 0;
  std::chrono::steady_clock::duration longest_lag_{};
};

struct Stretch {
  NetworkFaultsRig::Uplink faulty;
  NetworkFault fault;
};

// Each fault on each of these in turn.
std::vector<Stretch> stretches(const std::vector<NetworkFault>& faults,
                               const std::vector<NetworkFaultsRig::Uplink>& uplinks) {
  std::vector<Stretch> all;
  for (const NetworkFault& fault : faults) {
    for (const auto uplink : uplinks) all.push_back({uplink, fault});
  }
  return all;
}

void deliver_through(NetworkFaultsRig& rig, const std::vector<Stretch>& all, std::uint64_t count) {
  const std::uint64_t each = count / (all.size() + 2);
  ASSERT_NO_FATAL_FAILURE(rig.warm_up(each));
  std::uint64_t until = each;
  for (const auto& [faulty, fault] : all) {
    ASSERT_NO_FATAL_FAILURE(rig.deliver_beside(faulty, fault, until += each));
  }
  rig.expect_all_arrived();
}

TEST(NetworkFaultsShort, LoseNothingOfAnUplinkAndTheOthersDoNotNotice) {
  constexpr std::uint64_t kCount = 8'000;
  NetworkFaultsRig rig(kCount, 500);
  auto all = stretches({{.resets = true},
                        {.delay = milliseconds(300)},
                        {.bytes_per_second = 10'000},
                        {.flap_period = milliseconds(400)}},
                       {NetworkFaultsRig::cloud, NetworkFaultsRig::lake, NetworkFaultsRig::fleet});
  // librdkafka takes a minute to find that nobody is there: in the long one.
  all.insert(all.begin(),
             {{NetworkFaultsRig::cloud, {.swallows = true}}, {NetworkFaultsRig::lake, {.swallows = true}}});
  deliver_through(rig, all, kCount);
}

TEST(NetworkFaultsShort, LoseNothingOfASparkplugNodeAndTheOthersDoNotNotice) {
  constexpr std::uint64_t kCount = 4'000;
  NetworkFaultsRig rig(kCount, 500);
  deliver_through(rig,
                  stretches({{.swallows = true},
                             {.resets = true},
                             {.delay = milliseconds(300)},
                             {.bytes_per_second = 1},
                             {.bytes_per_second = 10'000},
                             {.flap_period = milliseconds(400)}},
                            {NetworkFaultsRig::scada}),
                  kCount);
  EXPECT_GE(rig.births_of_node(), 4U) << "of each connection";
}

TEST(NetworkFaultsLong, AHalfOpenConnectionOverMqttIsFoundWithinOneAndAHalfKeepAlives) {
  MosquittoBroker target;
  target.start();
  FaultProxy proxy(target.port());
  GatewayProcess gateway;
  gateway.configure(
      "[[driver.simulator]]\nname = \"sim\"\ndevices = 1\ntags = 1\ninterval = \"1s\"\n[[uplink.mqtt]]\n"
      "name = \"cloud\"\nkeep_alive = \"20s\"\nbroker = \"mqtt://" +
      proxy.address() + "\"\n");
  gateway.start();
  const std::string up = R"(tidegate_uplink_up{uplink="cloud"})";
  ASSERT_TRUE(gateway.wait_for_metric(up, 1, kPatience)) << gateway.log();
  proxy.set({.swallows = true});
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(wait_until([&] { return gateway.metric(up) == 0; }, kPatience)) << gateway.log();
  // One and a half after the last packet, and some for a busy machine; what Paho does by itself takes fifty.
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(36));
  gateway.stop();
}

std::vector<NetworkFaultsRig::Uplink> uplinks_from_environment() {
  const char* const wanted = std::getenv("TIDEGATE_FAULTY");
  std::vector<NetworkFaultsRig::Uplink> uplinks;
  for (const auto uplink : NetworkFaultsRig::kUplinks) {
    if (wanted == nullptr || std::string(wanted) == NetworkFaultsRig::kNames[uplink]) uplinks.push_back(uplink);
  }
  if (uplinks.empty()) throw std::runtime_error("TIDEGATE_FAULTY names no uplink");
  return uplinks;
}

// TIDEGATE_FAULT_SECONDS: how long each of the twenty-one lasts; TIDEGATE_FAULTY: of this uplink alone, as "scada".
TEST(NetworkFaultsLong, LoseNothingOfAnUplinkInFlatMemoryAndTheOthersAreNotLate) {
  const char* const wanted = std::getenv("TIDEGATE_FAULT_SECONDS");
  const std::uint64_t each = wanted == nullptr ? 12 : std::stoull(wanted);
  constexpr std::uint64_t kRate = 500;
  const auto faulty = uplinks_from_environment();
  auto all = stretches({{.swallows = true},
                        {.resets = true},
                        {.delay = milliseconds(2'000)},
                        {.bytes_per_second = 4'000},
                        {.flap_period = milliseconds(2'000)}},
                       faulty);
  const bool has_node = faulty.back() == NetworkFaultsRig::scada;
  if (has_node) all.push_back({NetworkFaultsRig::scada, {.bytes_per_second = 1}});
  const std::uint64_t count = each * kRate * (all.size() + 2);
  NetworkFaultsRig rig(count, kRate);
  deliver_through(rig, all, count);
  if (has_node) {
    EXPECT_GT(rig.historical_of_node(), 0U) << "of what was late";
  }
  EXPECT_LT(rig.memory_growth(), 16 * kMiB);
  EXPECT_LT(rig.longest_lag(), each * milliseconds(1'000) / 20) << "5 % of a stretch";
}

}  // namespace
}  // namespace tidegate::testing
