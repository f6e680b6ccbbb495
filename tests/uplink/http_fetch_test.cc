#include "uplink/http_fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/support/http_server.h"

namespace tidegate::uplink {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using tidegate::testing::HttpRequestSeen;
using tidegate::testing::HttpScriptedReply;
using tidegate::testing::ScriptedHttpServer;

// Whatever is made of it is to fit into 64 bits.
TEST(HttpFetchTest, BoundsTheWaitThatAServerAsksFor) {
  ScriptedHttpServer server([](const HttpRequestSeen&) -> HttpScriptedReply {
    return {"HTTP/1.1 429 Too Many\r\nRetry-After: 9223372036854775807\r\nContent-Length: 0\r\n\r\n"};
  });
  const auto curl = CurlLibrary::get();
  ASSERT_TRUE(curl) << curl.error().message;
  HttpFetch fetch(**curl);
  HttpUplinkOptions options;
  options.url = server.url("/");
  const HttpAnswer answer = fetch.post(options, {}, "", 100);
  EXPECT_EQ(answer.problem, "");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.retry_after, std::chrono::hours(24 * 365));
}

// It would be another problem each time.
TEST(HttpFetchTest, SaysNotHowManyMillisecondsItHasTried) {
  ScriptedHttpServer server([](const HttpRequestSeen&) -> HttpScriptedReply {
    return {"", HttpScriptedReply::Then::say_nothing};
  });
  const auto curl = CurlLibrary::get();
  ASSERT_TRUE(curl) << curl.error().message;
  HttpFetch fetch(**curl);
  HttpUplinkOptions options;
  options.url = server.url("/");
  options.timeout = std::chrono::milliseconds(20);
  EXPECT_EQ(fetch.post(options, {}, "", 100).problem, "Operation timed out with 0 bytes received");
  server.stop();
  const std::string away = fetch.post(options, {}, "", 100).problem;
  EXPECT_THAT(away, HasSubstr("Failed to connect to 127.0.0.1 port " + std::to_string(server.port())));
  EXPECT_THAT(away, HasSubstr(": check address, port, route and whether the server runs"));
  EXPECT_THAT(away, Not(HasSubstr(" ms")));
}

}  // namespace
}  // namespace tidegate::uplink
