#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include "tests/integration/admin_tls_rig.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// Connects from 127.0.0.2 without a pause to speak of, says something, and leaves.
class Flood {
 public:
  Flood(std::uint16_t port, std::string word) : port_(port), word_(std::move(word)), thread_([this] { run(); }) {}
  ~Flood() {
    is_over_ = true;
    thread_.join();
  }
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;
  int connects() const { return connects_; }

 private:
  void run() {
    while (!is_over_) {
      const int socket = connect_from("127.0.0.2", port_, SOCK_NONBLOCK);
      ::send(socket, word_.data(), word_.size(), MSG_NOSIGNAL);
      ++connects_;
      ::poll(nullptr, 0, kPauseMilliseconds);
      ::close(socket);
    }
  }

  static constexpr int kPauseMilliseconds = 4;
  const std::uint16_t port_;
  const std::string word_;
  std::atomic<bool> is_over_ = false;
  std::atomic<int> connects_ = 0;
  std::thread thread_;
};

using AdminTlsStrangersShort = AdminTlsRig;

TEST_F(AdminTlsStrangersShort, SomeBytesInChunksEndNoDaemon) {
  start();
  SecureConnection connection(gateway_.admin_port(), ca());
  ASSERT_TRUE(connection.handshake());
  connection.send("POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
  EXPECT_TRUE(connection.read_until("HTTP/1.1 411 ")) << connection.text();
  connection.send("a");
  EXPECT_TRUE(connection.read_to_end(seconds(10)));
  EXPECT_THAT(ask(request("GET", "/healthz", "")), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(gateway_.is_running());
}

TEST_F(AdminTlsStrangersShort, WhoConnectsAllTheTimeKeepsNobodyElseOut) {
  start();
  for (const std::string& word : {std::string(), std::string("\x16\x03\x01", 3)}) {
    const Flood flood(gateway_.admin_port(), word);
    ASSERT_TRUE(wait_until([&] { return flood.connects() > 600; }, seconds(60)));
    for (int i = 0; i < 5; ++i) {
      const auto begun = std::chrono::steady_clock::now();
      EXPECT_THAT(ask(request("GET", "/healthz", "")), StartsWith("HTTP/1.1 200 "));
      EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
    }
  }
}

TEST_F(AdminTlsStrangersShort, WhoGoesOnWithTheTokenOfBeforeKeepsNobodyOut) {
  start();
  auto top = std::async(std::launch::async, [this] {
    return run({"top", "--interval", "0.2", "--config", gateway_.config_file()}, {{"TIDEGATE_TOKEN", kToken}});
  });
  ASSERT_TRUE(
      wait_until([&] { return ask(request("GET", "/healthz", "")).starts_with("HTTP/1.1 200 "); }, seconds(10)));
  std::filesystem::rename(file("other-token"), file("token"));
  EXPECT_EQ(run({"reload", "--config", gateway_.config_file()}, {{"TIDEGATE_TOKEN", kToken}}).end.exit_code, 0);
  for (int i = 0; i < 20; ++i) EXPECT_THAT(get("/metrics", kToken), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(get("/metrics", kOtherToken), StartsWith("HTTP/1.1 200 "));
  const auto ended = top.get();
  EXPECT_EQ(ended.end.exit_code, 1);
  EXPECT_THAT(ended.errors, AllOf(HasSubstr("answered 401"), HasSubstr("this is not the token")));
}

TEST_F(AdminTlsStrangersShort, SaysInTheLogWhoIsTurnedAway) {
  start();
  std::vector<int> sockets;
  for (int i = 0; i < 60; ++i) {
    sockets.push_back(connect_from("127.0.0.2", gateway_.admin_port()));
    send_all(sockets.back(), std::string("\x16\x03\x01", 3));
  }
  EXPECT_TRUE(wait_until(
      [&] {
        return gateway_.log().find("no TLS with 127.0.0.2: too many handshakes with that address at once") !=
               std::string::npos;
      },
      seconds(10)))
      << gateway_.log();
  for (const int socket : sockets) ::close(socket);
  EXPECT_THAT(get("/metrics", kToken), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminTlsStrangersShort, SpeaksOfNoMqttToWhoSpeaksNoTls) {
  start();
  const int socket = connect_to_loopback(gateway_.admin_port());
  send_all(socket, "\x16" + std::string(20, '\x09'));
  EXPECT_TRUE(
      wait_until([&] { return gateway_.log().find("the client speaks no TLS") != std::string::npos; }, seconds(10)))
      << gateway_.log();
  EXPECT_THAT(gateway_.log(), Not(HasSubstr("mqtts://")));
  ::close(socket);
}

TEST_F(AdminTlsStrangersShort, AReloadLooksAtTheFilesOfTheCertificate) {
  start();
  authority_.make_certificate("renewed", "ca", "IP:127.0.0.1");
  install("renewed");
  EXPECT_THAT(gateway_.log(), Not(HasSubstr("from here on it shows")));
  gateway_.reload();
  EXPECT_TRUE(
      wait_until([&] { return gateway_.log().find("from here on it shows") != std::string::npos; }, seconds(30)));
  EXPECT_THAT(get("/metrics", kToken), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminTlsStrangersShort, TellsOfAllWhoShowWrongTokensInOneLineAMinute) {
  start();
  for (int i = 0; i < 5; ++i) EXPECT_THAT(get("/metrics", "wrong"), StartsWith("HTTP/1.1 401 "));
  EXPECT_EQ(lines_with(gateway_.log(), "a wrong token from 127.0.0.1").size(), 1U);
}

TEST_F(AdminTlsStrangersShort, CountsWhomItTurnsAwayByReason) {
  start();
  const auto counted = [](const std::string& reason, int count) {
    return HasSubstr("\ntidegate_admin_refused_total{reason=\"" + reason + "\"} " + std::to_string(count) + "\n");
  };
  EXPECT_THAT(get("/metrics", kToken), AllOf(counted("no_token", 0), counted("wrong_token", 0), counted("too_many", 0),
                                             counted("other_site", 0), counted("other_host", 0), counted("no_tls", 0)));
  ask(request("GET", "/metrics", ""));
  for (int i = 0; i < 2; ++i) get("/metrics", "wrong");
  log_in("wrong");
  ask(request("GET", "/metrics", "Sec-Fetch-Site: cross-site\r\n" + bearer(kToken)));
  http_get(gateway_.admin_port(), "/metrics");
  EXPECT_THAT(get("/metrics", kToken), AllOf(counted("no_token", 1), counted("wrong_token", 3), counted("too_many", 0),
                                             counted("other_site", 1), counted("other_host", 0), counted("no_tls", 1)));
}

}  // namespace
}  // namespace tidegate::testing
