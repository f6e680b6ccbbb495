#include "tests/support/fault_proxy.h"

#include <gtest/gtest.h>

#include "tests/support/http_server.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{30};
constexpr std::size_t kBytes = 100'000;

/// An HTTP server that is asked through the proxy, over a connection a request.
class FaultProxyTest : public ::testing::Test {
 protected:
  FaultProxyTest()
      : server_([](const HttpRequestSeen&) {
          return HttpScriptedReply{http_reply(200, std::string(kBytes, 'x')).bytes, HttpScriptedReply::Then::close};
        }),
        proxy_(server_.port()) {}

  HttpReply ask(milliseconds patience = kPatience) const { return http_get(proxy_.port(), "/", patience); }
  bool answers() const { return ask().body.size() == kBytes; }

  ScriptedHttpServer server_;
  FaultProxy proxy_;
};

TEST_F(FaultProxyTest, PassesEverythingOn) {
  EXPECT_TRUE(answers());
  EXPECT_EQ(proxy_.counts().connections, 1U);
  EXPECT_GT(proxy_.counts().passed_bytes, kBytes);
}

TEST_F(FaultProxyTest, SwallowsWithoutAnEndAndTakesNewConnectionsAfterwards) {
  proxy_.set({.swallows = true});
  EXPECT_EQ(ask(milliseconds(300)).status, 0);
  EXPECT_GT(proxy_.counts().swallowed_bytes, 0U);
  EXPECT_EQ(proxy_.counts().resets + proxy_.counts().passed_bytes, 0U);
  proxy_.set({});
  EXPECT_TRUE(answers());
}

TEST_F(FaultProxyTest, ResetsWithinSomeKilobytes) {
  proxy_.set({.resets = true});
  EXPECT_FALSE(answers());
  // It is counted when the client may have it already.
  EXPECT_TRUE(wait_until([this] { return proxy_.counts().resets == 1; }, kPatience)) << proxy_.counts().resets;
  proxy_.set({});
  EXPECT_TRUE(answers());
}

TEST_F(FaultProxyTest, DelaysEachWay) {
  proxy_.set({.delay = milliseconds(100)});
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(answers());
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(200));
}

TEST_F(FaultProxyTest, LetsOnlySoManyBytesThroughASecond) {
  proxy_.set({.bytes_per_second = 200'000});
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(answers());
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(400));
}

TEST_F(FaultProxyTest, IsDownAndUpInTurn) {
  proxy_.set({.flap_period = milliseconds(400)});
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_TRUE(wait_until([this] { return !answers(); }, kPatience));
    EXPECT_TRUE(wait_until([this] { return answers(); }, kPatience));
  }
  EXPECT_EQ(proxy_.counts().swallowed_bytes, 0U);
}

TEST_F(FaultProxyTest, ClosesConnectionsWhileItsServerIsDown) {
  server_.stop();
  EXPECT_EQ(ask().status, 0);
  server_.start();
  EXPECT_TRUE(answers());
}

}  // namespace
}  // namespace tidegate::testing
