#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <ctime>
#include <mutex>
#include <optional>
#include <set>

#include "core/clock.h"
#include "tests/support/http_server.h"
#include "tests/support/network.h"
#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wait_until.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using tidegate::testing::free_port;
using tidegate::testing::http_reply;
using tidegate::testing::HttpRequestSeen;
using tidegate::testing::HttpScriptedReply;
using tidegate::testing::NumberedReadings;
using tidegate::testing::ScriptedHttpServer;
using tidegate::testing::TemporaryDirectory;
using tidegate::testing::write_file;
using Then = HttpScriptedReply::Then;

constexpr auto kPatience = seconds(60);

/// What a transport has reported, to be waited for.
class Reports {
 public:
  struct Outcome {
    bool ok = false;
    BatchFailure failure;
  };

  TransportHandlers handlers() {
    TransportHandlers handlers;
    handlers.done = [this](std::uint64_t id, bool ok) { note(id, {ok, {}}); };
    handlers.failed = [this](std::uint64_t id, const BatchFailure& how) { note(id, {false, how}); };
    handlers.link = [](bool, const std::string&) {};
    handlers.trouble = [this](const std::string& reason) {
      const std::lock_guard lock(mutex_);
      trouble_ = reason;
    };
    return handlers;
  }
  std::optional<Outcome> wait_for(std::uint64_t id) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return outcomes_.count(id) != 0; });
    const auto found = outcomes_.find(id);
    return found == outcomes_.end() ? std::nullopt : std::optional(found->second);
  }
  std::string trouble() const {
    const std::lock_guard lock(mutex_);
    return trouble_;
  }

 private:
  void note(std::uint64_t id, const Outcome& outcome) {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(outcomes_.emplace(id, outcome).second) << "batch " << id << " is reported twice";
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Outcome> outcomes_;
  std::string trouble_;
};

OutgoingBatch batch(std::uint64_t id, std::uint32_t count = 10) {
  OutgoingBatch batch;
  batch.id = id;
  batch.epoch = 1;
  batch.from = id * 100;
  batch.to = id * 100 + count - 1;
  batch.count = count;
  batch.payload = std::make_shared<const std::string>(
      R"({"v":1,"sent":5,"readings":[{"seq":1,"tag":"a/t","time":1,"value":1.5,"quality":"good"}]})");
  return batch;
}

class HttpTransportTest : public ::testing::Test {
 protected:
  HttpTransportTest() {
    options_.forwarder.name = "lake";
    options_.forwarder.batch_readings_max = 100;
    options_.forwarder.batch_delay_max = milliseconds(10);
    options_.forwarder.retry_first = milliseconds(10);
    options_.forwarder.retry_most = milliseconds(50);
    options_.forwarder.inflight_max = 4;
  }
  ~HttpTransportTest() override {
    if (transport_) transport_->stop(Duration::zero());
  }

  void serve(ScriptedHttpServer::Answer answer) {
    server_ = std::make_unique<ScriptedHttpServer>(std::move(answer));
    options_.url = server_->url("/in/{gateway}/{stream}");
  }
  void start() {
    transport_ = make_http_transport(options_, "gw 1", reports_.handlers());
    const auto started = transport_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  Reports::Outcome send(std::uint64_t id = 1, std::uint32_t count = 10) {
    transport_->send(batch(id, count));
    const auto outcome = reports_.wait_for(id);
    EXPECT_TRUE(outcome) << "no report";
    return outcome.value_or(Reports::Outcome{});
  }
  // What becomes of a batch that is answered so.
  Reports::Outcome outcome_of(const HttpScriptedReply& reply, std::uint32_t count = 10) {
    serve([reply](const HttpRequestSeen&) { return reply; });
    start();
    return send(1, count);
  }

  HttpUplinkOptions options_;
  Reports reports_;
  std::unique_ptr<ScriptedHttpServer> server_;
  std::unique_ptr<Transport> transport_;
};

TEST_F(HttpTransportTest, ARequestNamesItsBatchAndCarriesIt) {
  HttpRequestSeen seen;
  serve([&](const HttpRequestSeen& request) {
    seen = request;
    return http_reply(200, "fine");
  });
  options_.headers = {{"X-Site", "north", "", false}};
  start();
  EXPECT_TRUE(send(7).ok);
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/in/gw%201/readings");
  EXPECT_EQ(seen.body, *batch(7).payload);
  EXPECT_EQ(seen.header("content-type"), "application/json");
  EXPECT_EQ(seen.header("user-agent"), "tidegate/" TIDEGATE_VERSION);
  EXPECT_EQ(seen.header("idempotency-key"), "gw%201/lake/readings/1/700-709");
  EXPECT_EQ(seen.header("tidegate-gateway"), "gw 1");
  EXPECT_EQ(seen.header("tidegate-stream"), "readings");
  EXPECT_EQ(seen.header("tidegate-epoch"), "1");
  EXPECT_EQ(seen.header("tidegate-from"), "700");
  EXPECT_EQ(seen.header("tidegate-to"), "709");
  EXPECT_EQ(seen.header("x-site"), "north");
  EXPECT_EQ(seen.header("expect"), "");
  EXPECT_EQ(seen.header("content-encoding"), "");
}

TEST_F(HttpTransportTest, PutsWhereThatIsWanted) {
  std::string method;
  serve([&](const HttpRequestSeen& request) {
    method = request.method;
    return http_reply(204);
  });
  options_.method = HttpMethod::put;
  start();
  EXPECT_TRUE(send().ok);
  EXPECT_EQ(method, "PUT");
}

TEST_F(HttpTransportTest, FormatsAndCompressionsAreMarked) {
  TemporaryDirectory directory;
  HttpRequestSeen seen;
  serve([&](const HttpRequestSeen& request) {
    seen = request;
    return http_reply(200);
  });
  options_.format = BatchFormat::influx;
  options_.compression = Compression::gzip;
  start();
  EXPECT_TRUE(send().ok);
  EXPECT_EQ(seen.header("content-encoding"), "gzip");
  EXPECT_EQ(seen.header("content-type"), "text/plain; charset=utf-8");
  write_file(directory / "body.gz", seen.body);
  const auto unpacked = tidegate::testing::run_to_end({"/bin/gzip", "-dc", directory / "body.gz"});
  EXPECT_EQ(unpacked.output, "a/t,gateway=gw\\ 1,device=a value=1.5,quality=\"good\" 1000000\n");
  transport_->stop(Duration::zero());
  options_.format = BatchFormat::ndjson;
  options_.compression = Compression::zstd;
  start();
  EXPECT_TRUE(send(2).ok);
  EXPECT_EQ(seen.header("content-encoding"), "zstd");
  EXPECT_EQ(seen.header("content-type"), "application/x-ndjson");
  EXPECT_EQ(seen.body.substr(0, 4), "\x28\xb5\x2f\xfd");
}

TEST_F(HttpTransportTest, RefusesWhatNoRequestCanBeMadeOf) {
  serve([](const HttpRequestSeen&) { return http_reply(200); });
  options_.format = BatchFormat::ndjson;
  start();
  OutgoingBatch broken = batch(1, 1);
  broken.payload = std::make_shared<const std::string>("no batch");
  transport_->send(broken);
  const auto outcome = reports_.wait_for(1);
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(outcome->ok);
  EXPECT_THAT(outcome->failure.refusal, HasSubstr("payload of stream readings is no batch"));
  EXPECT_EQ(reports_.trouble(), "") << "it is the record, and not the way there";
}

TEST_F(HttpTransportTest, TooLargeIsReportedAsThat) {
  const auto outcome = outcome_of(http_reply(413, "limit"));
  EXPECT_FALSE(outcome.ok);
  EXPECT_TRUE(outcome.failure.too_large);
  EXPECT_THAT(reports_.trouble(), IsEmpty());
  const auto alone = send(2, 1);
  EXPECT_FALSE(alone.failure.too_large);
  EXPECT_EQ(alone.failure.refusal, "413: limit");
  EXPECT_THAT(reports_.trouble(), IsEmpty()) << "it is the record that is refused";
}

TEST_F(HttpTransportTest, TheTargetSaysHowLongItWantsNothing) {
  EXPECT_EQ(outcome_of(http_reply(429, "", "Retry-After: 17\r\n")).failure.retry_after, seconds(17));
}

TEST_F(HttpTransportTest, TheTargetSaysUntilWhenItWantsNothing) {
  const std::int64_t since_1970 =
      std::chrono::duration_cast<seconds>(SystemClock().wall_now().time_since_epoch()).count();
  const auto then = static_cast<std::time_t>(since_1970 + 600);
  std::tm parts{};
  ::gmtime_r(&then, &parts);
  char date[64];
  ASSERT_GT(std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts), 0U);
  const auto outcome = outcome_of(http_reply(503, "", "Retry-After: " + std::string(date) + "\r\n"));
  EXPECT_GT(outcome.failure.retry_after, seconds(400));
  EXPECT_LE(outcome.failure.retry_after, seconds(600));
}

TEST_F(HttpTransportTest, NoTargetStopsUsForMoreThanAnHour) {
  EXPECT_EQ(outcome_of(http_reply(503, "", "Retry-After: 99999999\r\n")).failure.retry_after, hours(1));
}

TEST_F(HttpTransportTest, ATimeThatNoNumberHoldsIsALongOne) {
  const std::string huge = "1" + std::string(30, '0');
  EXPECT_EQ(outcome_of(http_reply(503, "", "Retry-After: " + huge + "\r\n")).failure.retry_after, hours(1));
}

TEST_F(HttpTransportTest, NumbersThatAreNoTimeAreNone) {
  std::string value;
  serve([&value](const HttpRequestSeen&) { return http_reply(503, "", "Retry-After: " + value + "\r\n"); });
  start();
  std::uint64_t id = 0;
  for (const char* none : {"-10000000000", "1e10", "0x10000000000", ""}) {
    value = none;
    EXPECT_LE(send(++id).failure.retry_after, seconds(1)) << none;
  }
  value = "00000000000007";
  EXPECT_EQ(send(++id).failure.retry_after, seconds(7));
}

TEST_F(HttpTransportTest, ARedirectionIsToldAndNotFollowed) {
  int requests = 0;
  serve([&](const HttpRequestSeen&) {
    ++requests;
    return http_reply(301, "", "Location: /elsewhere\r\n");
  });
  start();
  EXPECT_FALSE(send().ok);
  EXPECT_THAT(reports_.trouble(), HasSubstr("redirected with 301 to " + server_->url("/elsewhere")));
  EXPECT_EQ(requests, 1);
}

TEST_F(HttpTransportTest, TroubleEndsWhenABatchIsTaken) {
  int requests = 0;
  serve([&](const HttpRequestSeen&) { return ++requests == 1 ? http_reply(500, "no disk") : http_reply(200); });
  start();
  EXPECT_FALSE(send(1).ok);
  EXPECT_EQ(reports_.trouble(), "the target answers 500: no disk");
  EXPECT_TRUE(send(2).ok);
  EXPECT_EQ(reports_.trouble(), "");
}

TEST_F(HttpTransportTest, AShortPauseIsTroubleOnlyWhenItComesAgain) {
  serve([](const HttpRequestSeen&) { return http_reply(429, "slow down", "Retry-After: 1\r\n"); });
  start();
  EXPECT_FALSE(send(1).ok);
  EXPECT_EQ(reports_.trouble(), "");
  EXPECT_FALSE(send(2).ok);
  EXPECT_EQ(reports_.trouble(), "the target answers 429 and takes nothing for 1 s: slow down");
}

TEST_F(HttpTransportTest, SecretsAreReadAnewAndNeverShown) {
  TemporaryDirectory directory;
  const std::string secret = directory / "token";
  write_file(secret, "Bearer old-canary\n");
  std::string sent;
  serve([&](const HttpRequestSeen& request) {
    sent = request.header("authorization");
    return http_reply(sent == "Bearer new-canary" ? 200 : 401, "you sent " + sent + ", old-canary!");
  });
  options_.headers = {{"Authorization", "Bearer old-canary", secret, true}};
  start();
  EXPECT_FALSE(send(1).ok);
  EXPECT_EQ(sent, "Bearer old-canary");
  EXPECT_THAT(reports_.trouble(), HasSubstr("check the credentials"));
  EXPECT_THAT(reports_.trouble(), Not(HasSubstr("canary")));
  write_file(secret, "Bearer new-canary\n");
  EXPECT_TRUE(send(2).ok);
  write_file(secret, "");
  EXPECT_FALSE(send(3).ok);
  EXPECT_THAT(reports_.trouble(), HasSubstr("token is empty"));
}

TEST_F(HttpTransportTest, NobodyThereIsTrouble) {
  options_.url = "http://127.0.0.1:" + std::to_string(free_port()) + "/";
  start();
  EXPECT_FALSE(send().ok);
  EXPECT_THAT(reports_.trouble(), HasSubstr("Failed to connect to 127.0.0.1"));
}

TEST_F(HttpTransportTest, AnAnswerThatBreaksOffIsNone) {
  std::uint64_t id = 0;
  for (const char* bytes : {"", "H", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
    SCOPED_TRACE(bytes);
    serve([bytes](const HttpRequestSeen&) { return HttpScriptedReply{bytes, Then::close}; });
    start();
    EXPECT_FALSE(send(++id).ok);
    EXPECT_THAT(reports_.trouble(), Not(IsEmpty()));
    transport_->stop(Duration::zero());
    transport_.reset();
  }
}

TEST_F(HttpTransportTest, GarbageIsNoAnswer) {
  EXPECT_FALSE(outcome_of({"SSH-2.0-OpenSSH_9.2p1\r\n\x01\x02\x03garbage\r\n\r\n", Then::close}).ok);
  EXPECT_THAT(reports_.trouble(), HasSubstr("HTTP/0.9"));
}

TEST_F(HttpTransportTest, AServerThatNeverAnswersIsGivenUp) {
  options_.timeout = seconds(1);
  EXPECT_FALSE(outcome_of({"", Then::say_nothing}).ok);
  EXPECT_THAT(reports_.trouble(), HasSubstr("timed out"));
}

TEST_F(HttpTransportTest, ALineOfHeadersWithoutAnEndIsNoLackOfMemoryAlone) {
  EXPECT_FALSE(outcome_of({"HTTP/1.1 200 OK\r\nX-Long: " + std::string(2048, 'x'), Then::repeat_bytes}).ok);
  EXPECT_THAT(reports_.trouble(), HasSubstr("a line of the answer's headers is too long"));
}

TEST_F(HttpTransportTest, AServerThatGivesAByteNowAndThenIsGivenUp) {
  options_.stalled_after = seconds(1);
  EXPECT_FALSE(outcome_of({"HTTP/1.1 200 OK\r\nX-Never: ends", Then::drip}).ok);
  EXPECT_THAT(reports_.trouble(), AnyOf(HasSubstr("too slow"), HasSubstr("timed out")));
}

TEST_F(HttpTransportTest, OfABodyWithoutAnEndTheStatusCounts) {
  const auto outcome = outcome_of({"HTTP/1.1 200 OK\r\n\r\n" + std::string(100'000, 'x'), Then::repeat_bytes});
  EXPECT_TRUE(outcome.ok);
}

TEST_F(HttpTransportTest, HeadersWithoutAnEndAreNoAnswer) {
  EXPECT_FALSE(outcome_of({"HTTP/1.1 200 OK\r\nX: " + std::string(2000, 'x'), Then::repeat_bytes}).ok);
}

TEST_F(HttpTransportTest, AStopReportsWhatIsOnItsWay) {
  serve([](const HttpRequestSeen&) { return HttpScriptedReply{"", Then::say_nothing}; });
  start();
  for (std::uint64_t id = 1; id <= 10; ++id) transport_->send(batch(id));
  transport_->stop(milliseconds(50));
  for (std::uint64_t id = 1; id <= 10; ++id) EXPECT_FALSE(reports_.wait_for(id).value().ok);
  transport_->send(batch(11));
  EXPECT_FALSE(reports_.wait_for(11).value().ok);
}

TEST_F(HttpTransportTest, AStopWaitsForAnswers) {
  serve([](const HttpRequestSeen&) { return http_reply(200); });
  start();
  for (std::uint64_t id = 1; id <= 20; ++id) transport_->send(batch(id));
  transport_->stop(kPatience);
  for (std::uint64_t id = 1; id <= 20; ++id) EXPECT_TRUE(reports_.wait_for(id).value().ok);
}

TEST_F(HttpTransportTest, ConnectionsAreUsedAgainAndNoMoreThanAllowed) {
  std::set<std::uint64_t> connections;
  serve([&](const HttpRequestSeen& request) {
    connections.insert(request.connection);
    return http_reply(200, "ok");
  });
  options_.forwarder.inflight_max = 3;
  start();
  for (std::uint64_t id = 1; id <= 300; ++id) transport_->send(batch(id));
  for (std::uint64_t id = 1; id <= 300; ++id) ASSERT_TRUE(reports_.wait_for(id).value().ok);
  EXPECT_LE(server_->connections(), 3U);
  EXPECT_LE(server_->most_open(), 3U);
}

TEST_F(HttpTransportTest, SeveralBatchesAreOnTheirWayAtATime) {
  serve([&](const HttpRequestSeen&) {
    EXPECT_TRUE(tidegate::testing::wait_until([&] { return server_->most_open() >= 4; }, kPatience));
    return http_reply(200);
  });
  start();
  for (std::uint64_t id = 1; id <= 8; ++id) transport_->send(batch(id));
  for (std::uint64_t id = 1; id <= 8; ++id) ASSERT_TRUE(reports_.wait_for(id).value().ok);
  EXPECT_EQ(server_->most_open(), 4U);
}

TEST_F(HttpTransportTest, AServerThatClosesEachTimeIsConnectedToEachTime) {
  serve([](const HttpRequestSeen&) {
    return HttpScriptedReply{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Then::close};
  });
  start();
  for (std::uint64_t id = 1; id <= 20; ++id) EXPECT_TRUE(send(id).ok);
  EXPECT_GE(server_->connections(), 20U);
}

// With the forwarder: what is repeated, and how it is called then.
class HttpUplinkTest : public HttpTransportTest {
 protected:
  std::unique_ptr<UplinkHarness> start_uplink(std::uint64_t count) {
    NumberedReadings readings;
    readings.count = count;
    auto uplink = std::make_unique<UplinkHarness>(options_.forwarder, readings);
    EXPECT_TRUE(uplink->start(
        [this](TransportHandlers handlers) { return make_http_transport(options_, "gw", std::move(handlers)); }));
    uplink->announce(count);
    return uplink;
  }
};

TEST_F(HttpUplinkTest, EverythingArrivesWhateverTheServerAnswersMeanwhile) {
  constexpr std::uint64_t kReadings = 5'000;
  std::set<std::string> taken;
  std::set<std::string> refused;
  int requests = 0;
  serve([&](const HttpRequestSeen& request) -> HttpScriptedReply {
    const std::string key = request.header("idempotency-key");
    switch (++requests % 9) {
      case 1:
        refused.insert(key);
        return http_reply(503, "busy");
      case 3:
        return {"HTTP/1.1 200", Then::close};
      case 5:
        return http_reply(400, "not now");
      case 7:
        return http_reply(408);
      default:
        taken.insert(key);
        return http_reply(requests % 2 == 0 ? 200 : 204);
    }
  });
  const auto uplink = start_uplink(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() == kReadings; }, kPatience));
  EXPECT_EQ(taken.size(), kReadings / 100) << "under the same name each time";
  for (const std::string& key : refused) EXPECT_EQ(taken.count(key), 1U);
  EXPECT_FALSE(uplink->troubles().empty());
}

TEST_F(HttpUplinkTest, BatchesBecomeAsSmallAsTheServerTakes) {
  constexpr std::uint64_t kReadings = 1'000;
  std::uint64_t refused = 0;
  serve([&](const HttpRequestSeen& request) {
    if (request.body.size() <= 2'000) return http_reply(200);
    ++refused;
    return http_reply(413, "too large");
  });
  const auto uplink = start_uplink(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() == kReadings; }, kPatience));
  EXPECT_GT(refused, 0U);
  EXPECT_LT(refused, 40U);
}

TEST_F(HttpUplinkTest, NothingComesBeforeTheTimeThatTheServerNames) {
  std::optional<BootTime> turned_away;
  std::optional<Duration> pause;
  const SystemClock clock;
  options_.forwarder.inflight_max = 1;
  serve([&](const HttpRequestSeen&) {
    if (turned_away && !pause) pause = clock.boot_now() - *turned_away;
    if (turned_away) return http_reply(200);
    turned_away = clock.boot_now();
    return http_reply(503, "", "Retry-After: 1\r\n");
  });
  const auto uplink = start_uplink(100);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() == 100; }, kPatience));
  EXPECT_GE(*pause, seconds(1));
}

}  // namespace
}  // namespace tidegate::uplink::testing
