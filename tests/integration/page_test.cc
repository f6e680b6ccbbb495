#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

constexpr int kLiveClientsMax = 16;
constexpr const char* kManyReadings =
    "[[driver.simulator]]\nname = \"sim\"\ndevices = 10\ntags = 40\ninterval = \"200ms\"\n";
constexpr const char* kRule =
    "[[rule]]\nname = \"hot\"\ntype = \"threshold\"\ntags = [\"sim-1/tag-1\"]\nraise = \"> -1000000\"\n";

/// One connection to the admin address, which reads only when it is told to.
class Connection {
 public:
  Connection(std::uint16_t port, const std::string& request) : socket_(connect_to_loopback(port)) {
    constexpr int kSmall = 4096;
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &kSmall, sizeof kSmall);
    send_all(socket_, request);
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Reads on until the text holds `part`; false when the connection ends or the time is over before.
  bool read_until(const std::string& part, seconds patience = seconds(20)) {
    const auto deadline = Clock::now() + patience;
    while (text_.find(part) == std::string::npos) {
      if (!read_some(deadline)) return false;
    }
    return true;
  }
  bool read_to_end(seconds patience) {
    const auto deadline = Clock::now() + patience;
    while (read_some(deadline)) {
    }
    return has_ended_;
  }
  const std::string& text() const { return text_; }
  void forget() { text_.clear(); }

 private:
  bool read_some(Clock::time_point deadline) {
    std::array<char, 4096> bytes{};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready{socket_, POLLIN, 0};
    if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
    const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), 0);
    has_ended_ = count <= 0;
    if (count > 0) text_.append(bytes.data(), static_cast<std::size_t>(count));
    return count > 0;
  }

  int socket_;
  std::string text_;
  bool has_ended_ = false;
};

std::string get(const std::string& path, const std::string& host = "localhost") {
  return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
}

class PageShort : public ::testing::Test {
 protected:
  void start(const std::string& configuration) {
    gateway_.configure(configuration);
    gateway_.start();
  }
  std::string ask(const std::string& request) {
    Connection connection(gateway_.admin_port(), request);
    connection.read_until("\r\n\r\n");
    return connection.text();
  }
  std::unique_ptr<Connection> listen(const std::string& query = "") {
    return std::make_unique<Connection>(gateway_.admin_port(), get("/api/v1/live" + query));
  }

  GatewayProcess gateway_;
};

using PageTest = PageShort;

TEST_F(PageShort, IsServedWithAPolicyThatLetsItSpeakToNobodyElse) {
  start("");
  for (const auto& [path, type] : {std::pair("/", "text/html; charset=utf-8"), std::pair("/page.js", "text/javascript"),
                                   std::pair("/style.css", "text/css"), std::pair("/icon.svg", "image/svg+xml")}) {
    const std::string head = ask(get(path));
    EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
    for (const char* line : {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
                             "base-uri 'none'", "form-action 'none'", "X-Content-Type-Options: nosniff\r\n",
                             "Referrer-Policy: same-origin\r\n", "Cache-Control: no-store\r\n"}) {
      EXPECT_THAT(head, HasSubstr(line)) << path;
    }
    EXPECT_THAT(head, HasSubstr(std::string("Content-Type: ") + type));
  }
  const std::string page = http_get(gateway_.admin_port(), "/").body;
  EXPECT_THAT(page, AllOf(HasSubstr("tidegate status"), HasSubstr("</html>")));
  // Nothing of it comes from elsewhere, and no text of it becomes markup.
  const std::string script = http_get(gateway_.admin_port(), "/page.js").body;
  EXPECT_LT(page.size() + script.size() + http_get(gateway_.admin_port(), "/style.css").body.size(), 40'000U);
  for (const std::string& text : {page, script}) {
    for (const char* never : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://"}) {
      EXPECT_EQ(text.find(never), std::string::npos) << never;
    }
  }
}

TEST_F(PageShort, AnswersOnlyWhoAsksForAHostOfThisMachine) {
  start("");
  for (const char* host : {"127.0.0.1:8480", "localhost", "[::1]:1"}) {
    EXPECT_THAT(ask(get("/readyz", host)), StartsWith("HTTP/1.1 200 ")) << host;
  }
  for (const char* path : {"/", "/readyz", "/api/v1/status", "/api/v1/live"}) {
    EXPECT_THAT(ask(get(path, "evil.example")), StartsWith("HTTP/1.1 421 ")) << path;
  }
  EXPECT_THAT(ask("GET /readyz HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(ask("GET /readyz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"),
              StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(ask("GET /readyz HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.0 200 "));
}

TEST_F(PageShort, AnswersNoPageOfAnotherSiteButALinkToItself) {
  start("");
  const auto of = [](const std::string& site, const std::string& path, const std::string& mode = "no-cors") {
    return "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: " + site + "\r\nSec-Fetch-Mode: " + mode +
           "\r\n\r\n";
  };
  for (const char* site : {"cross-site", "same-site"}) {
    for (const char* path : {"/", "/readyz", "/api/v1/status", "/api/v1/live", "/page.js", "/nowhere"}) {
      EXPECT_THAT(ask(of(site, path)), AllOf(StartsWith("HTTP/1.1 403 "), HasSubstr("Connection: close\r\n"),
                                             HasSubstr("{\"error\":\"a page of another site")))
          << path;
    }
    EXPECT_THAT(ask(of(site, "/api/v1/live", "navigate")), StartsWith("HTTP/1.1 403 "));
    EXPECT_THAT(ask(of(site, "/?a", "navigate")), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: "
                  "navigate\r\nContent-Length: 0\r\n\r\n"),
              StartsWith("HTTP/1.1 403 "));
  for (const char* site : {"same-origin", "none"}) {
    EXPECT_THAT(ask(of(site, "/api/v1/status", "cors")), StartsWith("HTTP/1.1 200 ")) << site;
  }
}

TEST_F(PageShort, TellsWhoListensOfStatusReadingsAndAlarms) {
  start(std::string(kManyReadings) + kRule);
  const auto all = listen();
  const auto some = listen("?tag=sim-2/*");
  EXPECT_TRUE(all->read_until("event: status\ndata: {")) << all->text();
  EXPECT_THAT(all->text(), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Type: text/event-stream\r\n")));
  EXPECT_TRUE(all->read_until("\"tag\":\"sim-1/tag-1\"")) << all->text();
  EXPECT_TRUE(some->read_until("\"tag\":\"sim-2/tag-40\"")) << some->text();
  // Alarms, which are of tag-1, come to all.
  EXPECT_EQ(some->text().find("\"tag\":\"sim-1/tag-2\""), std::string::npos);
  const auto acknowledged =
      http_post(gateway_.admin_port(), "/api/v1/alarms/hot/sim-1/tag-1/ack", R"({"by":"ann"})", "application/json");
  EXPECT_EQ(acknowledged.status, 200) << acknowledged.body;
  for (const auto& listener : {all.get(), some.get()}) {
    EXPECT_TRUE(listener->read_until("event: alarm\ndata: {\"alarm\":\"hot/sim-1/tag-1\""));
    EXPECT_TRUE(listener->read_until("\"state\":\"acknowledged\""));
  }
}

TEST_F(PageShort, RefusesTheSeventeenthListener) {
  start(kManyReadings);
  std::vector<std::unique_ptr<Connection>> listeners;
  for (int i = 0; i < kLiveClientsMax; ++i) {
    listeners.push_back(listen("?tag=none"));
  }
  for (const auto& listener : listeners) EXPECT_TRUE(listener->read_until("event: status"));
  Connection refused(gateway_.admin_port(), get("/api/v1/live"));
  EXPECT_TRUE(refused.read_until("16 clients listen already, and no more may")) << refused.text();
  EXPECT_THAT(refused.text(), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(http_get(gateway_.admin_port(), "/api/v1/status").status, 200);
  listeners.pop_back();
  EXPECT_TRUE(wait_until([&] { return listen()->read_until("event: status", seconds(2)); }, seconds(20)));
}

TEST_F(PageShort, EndsWhoListensAtAStopAndWaitsForNobody) {
  start(kManyReadings);
  const auto reads = listen();
  const auto does_not = listen();
  EXPECT_TRUE(reads->read_until("event: reading"));
  const auto before = Clock::now();
  gateway_.stop();
  EXPECT_LT(Clock::now() - before, seconds(5));
  EXPECT_TRUE(reads->read_to_end(seconds(5)));
}

// Buffers of the kernel take what comes at first; from then on it has ten seconds.
TEST_F(PageTest, EndsListenersThatDoNotRead) {
  start(kManyReadings);
  std::vector<std::unique_ptr<Connection>> listeners;
  for (int i = 0; i < kLiveClientsMax; ++i) listeners.push_back(listen());
  const auto is_refused = [this] { return ask(get("/api/v1/live")).starts_with("HTTP/1.1 503 "); };
  EXPECT_TRUE(wait_until(is_refused, seconds(10)));
  const auto memory = gateway_.process().resident_bytes();
  EXPECT_TRUE(wait_until([&] { return !is_refused(); }, seconds(90)));
  EXPECT_LT(gateway_.process().resident_bytes(), memory + 4'000'000);
}

}  // namespace
}  // namespace tidegate::testing
