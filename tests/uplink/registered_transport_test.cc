#include "uplink/avro/registered_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "tests/support/schema_registry.h"
#include "tests/support/wait_until.h"

namespace tidegate::uplink {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tidegate::testing::FakeSchemaRegistry;
using tidegate::testing::http_reply;
using tidegate::testing::HttpScriptedReply;
using tidegate::testing::wait_until;

constexpr seconds kPatience{30};

// What is made when the ids are known: acknowledges all that it gets, and says that the link is up.
class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(TransportHandlers handlers) : handlers_(std::move(handlers)) {}
  Result<void> start() override {
    handlers_.link(true, "");
    return {};
  }
  void stop(Duration) override {}
  void send(const OutgoingBatch& batch) override { handlers_.done(batch.id, true); }

 private:
  const TransportHandlers handlers_;
};

class RegisteredTransportTest : public ::testing::Test {
 protected:
  RegisteredTransportTest() {
    registration_.registry.urls = {registry_.url()};
    registration_.forwarder.name = "fleet";
    registration_.forwarder.streams = {Stream::readings, Stream::events};
    registration_.forwarder.retry_first = milliseconds(5);
    registration_.forwarder.retry_most = milliseconds(20);
    registration_.subjects = {"r", "a", "e"};
    registration_.check = [] { return Result<void>(); };
    registration_.make = [this](const AvroSchemaIds& ids, TransportHandlers handlers) {
      ids_ = ids;
      return std::make_unique<FakeTransport>(std::move(handlers));
    };
    handlers_.done = [this](std::uint64_t, bool ok) { ++(ok ? delivered_ : failed_); };
    handlers_.link = [this](bool up, const std::string&) { ++(up ? ups_ : downs_); };
  }

  FakeSchemaRegistry registry_;
  AvroRegistration registration_;
  TransportHandlers handlers_;
  AvroSchemaIds ids_{};
  std::atomic<int> delivered_ = 0;
  std::atomic<int> failed_ = 0;
  std::atomic<int> ups_ = 0;
  std::atomic<int> downs_ = 0;
};

TEST_F(RegisteredTransportTest, IsTheOtherOneFromWhenTheIdsAreKnown) {
  registry_.answer_with(http_reply(503));
  const auto transport = make_registered_transport(registration_, handlers_);
  ASSERT_TRUE(transport->start());
  ASSERT_TRUE(wait_until([this] { return downs_ == 1 && registry_.requests().size() > 3; }, kPatience));
  transport->send({});
  EXPECT_EQ(failed_, 1);
  registry_.answer_with(std::nullopt);
  ASSERT_TRUE(wait_until([this] { return ups_ == 1; }, kPatience));
  transport->send({});
  EXPECT_EQ(delivered_, 1);
  transport->stop(Duration::zero());
  EXPECT_EQ(registry_.schema(ids_[0]), avro_schema(Stream::readings));
  EXPECT_EQ(ids_[1], 0);  // of a stream that it does not have
  EXPECT_EQ(registry_.schema(ids_[2]), avro_schema(Stream::events));
  EXPECT_EQ(downs_, 1);  // the same is not said twice
}

TEST_F(RegisteredTransportTest, StopsWhileItAsksAndWhileItWaits) {
  for (const bool answers : {false, true}) {
    registration_.forwarder.retry_first = registration_.forwarder.retry_most = seconds(60);
    registry_.answer_with(answers ? http_reply(503) : HttpScriptedReply{"", HttpScriptedReply::Then::say_nothing});
    const auto transport = make_registered_transport(registration_, handlers_);
    const std::size_t before = registry_.requests().size();
    ASSERT_TRUE(transport->start());
    ASSERT_TRUE(
        wait_until([&] { return registry_.requests().size() > before && (!answers || downs_ == 1); }, kPatience));
    const auto began = std::chrono::steady_clock::now();
    transport->stop(Duration::zero());
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(5));
  }
  EXPECT_EQ(ups_, 0);
}

TEST_F(RegisteredTransportTest, DoesNotStartWhereTheOtherOneCouldNotBeMade) {
  registration_.check = [] { return Result<void>(fail(ErrorCode::not_found, "librdkafka.so.1 is not there")); };
  const auto transport = make_registered_transport(registration_, handlers_);
  EXPECT_FALSE(transport->start());
  EXPECT_TRUE(registry_.requests().empty());
}

}  // namespace
}  // namespace tidegate::uplink
