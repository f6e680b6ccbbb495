#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>

#include "tests/support/fault_proxy.h"
#include "tests/support/network.h"
#include "tests/support/postgresql_server.h"
#include "tests/support/seed.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/target_cursor.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using tidegate::testing::FaultProxy;
using tidegate::testing::NetworkFault;
using tidegate::testing::NumberedReadings;
using tidegate::testing::PostgresqlServer;

constexpr seconds kPatience{120};

class PostgresqlTransportTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kReadings = 10'000;

  PostgresqlTransportTest() {
    server_.start();
    readings_.count = kReadings;
    options_.host = "127.0.0.1";
    options_.port = server_.port();
    options_.database = "plant";
    options_.username = "gateway";
    options_.forwarder.name = "fleet";
    options_.forwarder.streams = {Stream::readings};
    options_.forwarder.batch_readings_max = 50;
    options_.forwarder.batch_delay_max = milliseconds(10);
    options_.forwarder.retry_first = milliseconds(10);
    options_.forwarder.retry_most = milliseconds(50);
    options_.forwarder.blames_size_for_lost_links = false;
    options_.connect_timeout = seconds(5);
  }

  // An uplink whose own cursor says that nothing is delivered.
  std::unique_ptr<UplinkHarness> start_uplink() {
    auto uplink = std::make_unique<UplinkHarness>(options_.forwarder, readings_);
    const auto make = [this](TransportHandlers handlers) {
      return make_postgresql_transport(options_, "gw", {"ab", {1ULL << 32U}}, std::move(handlers));
    };
    const auto started = uplink->start(make);
    EXPECT_TRUE(started) << started.error().message;
    return uplink;
  }
  static void deliver(UplinkHarness& uplink, std::uint64_t count) {
    uplink.announce(count);
    ASSERT_TRUE(uplink.run_until([&] { return uplink.cursor().acked_to.sequence >= count; }, kPatience))
        << uplink.cursor().acked_to.sequence << ::testing::PrintToString(uplink.details());
  }
  // The number n has the sequence n, and no transaction has one before those of an earlier transaction.
  void expect_each_once(std::uint64_t count) const {
    const auto all = server_.query(
        "SELECT count(*), count(DISTINCT seq), min(seq), max(seq), "
        "count(*) FILTER (WHERE value_int IS DISTINCT FROM seq OR tag <> 'dev-' || seq % 100 || '/temp' OR epoch <> 1 "
        "OR time <> to_timestamp((1760000000000 + seq) / 1000.0)), "
        "(SELECT count(*) FROM (SELECT seq < lag(seq) OVER (ORDER BY xmin::text::bigint, seq) AS is_late FROM "
        "tidegate_readings) AS s "
        "WHERE is_late) FROM tidegate_readings");
    const std::string n = std::to_string(count);
    EXPECT_EQ(all.front(), (PostgresqlServer::Row{n, n, "0", std::to_string(count - 1), "0", "0"}));
  }

  PostgresqlServer server_;
  NumberedReadings readings_;
  PostgresqlUplinkOptions options_;
};

TEST_F(PostgresqlTransportTest, WritesEveryRecordOnceAndTheCursorBehindIt) {
  const auto uplink = start_uplink();
  deliver(*uplink, kReadings);
  expect_each_once(kReadings);
  const auto cursor = parse_target_cursor(server_.value("SELECT cursor FROM tidegate_cursors"));
  ASSERT_TRUE(cursor);
  EXPECT_EQ(cursor->next.at(Stream::readings), (Position{1, kReadings}));
  EXPECT_EQ(cursor->history.log, "ab");
}

TEST_F(PostgresqlTransportTest, GoesOnWhereTheTargetIsAndNotWhereItRemembers) {
  for (const std::uint64_t part : {1U, 2U, 3U}) {
    const auto uplink = start_uplink();
    deliver(*uplink, kReadings * part / 3);
    uplink->stop(seconds(5));
  }
  expect_each_once(kReadings);
}

// Whatever the server answers, one answer in some does not come to us: nobody knows then whether it was done.
TEST_F(PostgresqlTransportTest, HasEachRecordOnceThoughAnswersAreLost) {
  const auto seed = tidegate::testing::from_environment("TIDEGATE_SEED", 1);
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  FaultProxy proxy(server_.port());
  std::mt19937_64 random(seed);
  std::atomic<unsigned> lost_commits = 0;
  std::atomic<unsigned> lost_others = 0;
  proxy.rewrite_answers([&](std::string& bytes) {
    const bool is_commit = bytes.find("COMMIT") != std::string::npos;
    if (random() % (is_commit ? 3 : 12) != 0) return;
    is_commit ? ++lost_commits : ++lost_others;
    std::fill(bytes.begin(), bytes.end(), '\x01');  // no message of the protocol: the connection ends
  });
  options_.port = proxy.port();
  const auto uplink = start_uplink();
  std::uint64_t count = 0;
  while ((lost_commits < 8 || lost_others < 8) && count < kReadings && !HasFailure()) deliver(*uplink, count += 50);
  uplink->stop(seconds(5));
  expect_each_once(count);
  EXPECT_GE(lost_commits, 8U);
  EXPECT_GE(lost_others, 8U);
}

TEST_F(PostgresqlTransportTest, HasEachRecordOnceThoughConnectionsAreResetAnywhere) {
  FaultProxy proxy(server_.port());
  options_.port = proxy.port();
  const auto uplink = start_uplink();
  NetworkFault fault;
  for (std::uint64_t count = 500; count <= 3'000; count += 500) {
    const auto before = proxy.counts().resets;
    fault.resets = true;
    proxy.set(fault);
    uplink->announce(count);
    ASSERT_TRUE(uplink->run_until([&] { return proxy.counts().resets > before + 2; }, kPatience));
    fault.resets = false;
    proxy.set(fault);
    deliver(*uplink, count);
  }
  expect_each_once(3'000);
  std::printf("%llu resets\n", static_cast<unsigned long long>(proxy.counts().resets));
}

TEST_F(PostgresqlTransportTest, RepeatsNothingThroughOutagesOfTheServer) {
  const auto uplink = start_uplink();
  for (const std::uint64_t part : {1U, 2U, 3U}) {
    deliver(*uplink, kReadings * part / 4);
    server_.stop_at_once();
    uplink->announce(kReadings * part / 4 + 100);
    ASSERT_TRUE(uplink->run_until([&] { return !uplink->is_up(); }, kPatience));
    server_.start();
  }
  deliver(*uplink, kReadings);
  expect_each_once(kReadings);
}

TEST_F(PostgresqlTransportTest, FindsThatTheServerHasGoneWithNothingToSend) {
  const auto uplink = start_uplink();
  deliver(*uplink, 100);
  server_.stop();
  ASSERT_TRUE(uplink->run_until([&] { return !uplink->is_up(); }, kPatience));
  EXPECT_THAT(uplink->details(), ::testing::Contains(HasSubstr("terminating connection")));
}

TEST_F(PostgresqlTransportTest, StaysDownOnceAnotherProcessHasTakenOver) {
  const auto first = start_uplink();
  deliver(*first, 1'000);
  const auto second = start_uplink();
  deliver(*second, 2'000);
  first->announce(3'000);
  const auto is_fenced = [&] {
    return !first->details().empty() && first->details().back().find("another process sends") != std::string::npos;
  };
  ASSERT_TRUE(first->run_until(is_fenced, kPatience)) << ::testing::PrintToString(first->details());
  deliver(*second, 3'000);
  EXPECT_FALSE(first->is_up());
  expect_each_once(3'000);
}

// A table that takes nothing of readings: alarms would go on, and it is said until records are taken.
TEST_F(PostgresqlTransportTest, SaysWhatTheServerRefusesUntilItTakesIt) {
  const auto uplink = start_uplink();
  deliver(*uplink, 100);
  server_.query("ALTER TABLE tidegate_readings ADD CONSTRAINT small CHECK (seq < 150)");
  uplink->announce(400);
  ASSERT_TRUE(uplink->run_until([&] { return !uplink->trouble().empty() && uplink->failures() > 3; }, kPatience));
  EXPECT_THAT(uplink->trouble(), HasSubstr("23514"));
  EXPECT_THAT(uplink->trouble(), HasSubstr("tidegate_readings"));
  server_.query("ALTER TABLE tidegate_readings DROP CONSTRAINT small");
  deliver(*uplink, 400);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->trouble().empty(); }, kPatience));
  expect_each_once(400);
}

// Alone it would be tried for ever.
TEST_F(PostgresqlTransportTest, MakesBatchesSmallerThatDoNotFitIntoTheTime) {
  FaultProxy proxy(server_.port());
  options_.port = proxy.port();
  options_.timeout = seconds(1);
  options_.forwarder.batch_readings_max = 1'400;
  options_.forwarder.batch_delay_max = milliseconds(200);
  const auto uplink = start_uplink();
  deliver(*uplink, 100);
  NetworkFault fault;
  fault.bytes_per_second = 80'000;
  proxy.set(fault);
  deliver(*uplink, 1'500);
  EXPECT_THAT(uplink->details(), ::testing::Contains(HasSubstr("a batch was not copied within 1s (timeout): raise")));
  expect_each_once(1'500);
}

TEST_F(PostgresqlTransportTest, LosesNothingToATriggerThatLeavesRowsOut) {
  const auto uplink = start_uplink();
  deliver(*uplink, 100);
  server_.query(
      "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN NEW.seq % 3 = 0 THEN "
      "NULL ELSE NEW END; END'; "
      "CREATE TRIGGER thinner BEFORE INSERT ON tidegate_readings FOR EACH ROW EXECUTE FUNCTION leave_out()");
  uplink->announce(150);
  const auto is_named = [&] { return uplink->trouble().find("its trigger thinner") != std::string::npos; };
  ASSERT_TRUE(uplink->run_until(is_named, kPatience)) << uplink->trouble();
  EXPECT_THAT(uplink->trouble(), HasSubstr("\"tidegate_readings\" took "));
  expect_each_once(100);
  server_.query("DROP TRIGGER thinner ON tidegate_readings");
  deliver(*uplink, 300);
  expect_each_once(300);
}

// One byte of an answer a second, and none at all.
TEST_F(PostgresqlTransportTest, IsNotUpWhileEachSessionEndsWithItsFirstRecords) {
  auto uplink = start_uplink();
  deliver(*uplink, 100);
  server_.query(
      "CREATE FUNCTION go_away() RETURNS trigger LANGUAGE plpgsql AS "
      "'BEGIN RAISE ''gone'' USING ERRCODE = ''57P01''; END'");
  server_.query("CREATE TRIGGER ender BEFORE INSERT ON tidegate_readings FOR EACH ROW EXECUTE FUNCTION go_away()");
  uplink->announce(200);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->trouble().find("gone") != std::string::npos; }, kPatience))
      << ::testing::PrintToString(uplink->details());
  const auto links = uplink->details().size();
  ASSERT_TRUE(uplink->run_until([&] { return uplink->details().size() >= links + 4; }, kPatience));
  EXPECT_THAT(uplink->trouble(), HasSubstr("gone")) << "though the link came up again";
  server_.query("DROP TRIGGER ender ON tidegate_readings");
  deliver(*uplink, 200);
  EXPECT_TRUE(uplink->run_until([&] { return uplink->trouble().empty(); }, kPatience)) << uplink->trouble();
}

TEST_F(PostgresqlTransportTest, WaitsForNoAnswerLongerThanItIsTold) {
  FaultProxy proxy(server_.port());
  options_.port = proxy.port();
  options_.connect_timeout = seconds(1);
  options_.timeout = seconds(2);
  const auto uplink = start_uplink();
  deliver(*uplink, 100);
  NetworkFault fault;
  fault.swallows = true;
  proxy.set(fault);
  uplink->announce(300);
  ASSERT_TRUE(uplink->run_until([&] { return !uplink->is_up(); }, seconds(20)));
  EXPECT_THAT(uplink->details().back(), HasSubstr("within 2s (timeout): raise timeout"));
  fault.swallows = false;
  fault.bytes_per_second = 1;
  const auto began = proxy.counts().connections;
  proxy.set(fault);
  ASSERT_TRUE(uplink->run_until([&] { return proxy.counts().connections >= began + 2; }, seconds(20)));
  proxy.set({});
  deliver(*uplink, 1'000);
  expect_each_once(1'000);
}

TEST_F(PostgresqlTransportTest, StopsInTimeWhereNobodyAnswers) {
  FaultProxy proxy(server_.port());
  options_.port = proxy.port();
  NetworkFault fault;
  fault.swallows = true;
  const auto uplink = start_uplink();
  deliver(*uplink, 100);
  proxy.set(fault);
  uplink->announce(300);
  const auto swallows = [&] { return proxy.counts().swallowed_bytes > 0; };
  ASSERT_TRUE(uplink->run_until(swallows, kPatience));
  const auto began = std::chrono::steady_clock::now();
  uplink->stop(milliseconds(200));
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(3));
}

TEST_F(PostgresqlTransportTest, StopsInTimeWhereNobodyAnswersItsLogin) {
  FaultProxy proxy(server_.port());
  options_.port = proxy.port();
  NetworkFault fault;
  fault.swallows = true;
  proxy.set(fault);
  const auto uplink = start_uplink();
  ASSERT_TRUE(uplink->run_until([&] { return proxy.counts().swallowed_bytes > 0; }, kPatience));
  const auto began = std::chrono::steady_clock::now();
  uplink->stop(seconds(60));
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(3));
}

}  // namespace
}  // namespace tidegate::uplink::testing
