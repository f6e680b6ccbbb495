#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>

#include <boost/asio/io_context.hpp>

#include "daemon/admin/admin_server.h"
#include "mqtt/tls_client.h"
#include "tests/support/network.h"
#include "tests/support/test_authority.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr std::size_t kAnswerBytes = 300'000;

/// An admin server in TLS, and a client of it on the same thread.
class AdminTlsConnectionTest : public ::testing::Test {
 protected:
  AdminTlsConnectionTest() {
    authority_.make_authority("ca");
    authority_.make_certificate("gateway", "ca", "IP:127.0.0.1");
    const AdminHandler handler = [](const AdminRequest& request, const AdminRespond& respond) {
      AdminResponse response;
      response.body = request.path == "/long" ? std::string(kAnswerBytes, 'x') + "end" : "short";
      respond(std::move(response));
    };
    server_ =
        start_admin_server(loop_, parse_admin_address("127.0.0.1:0").value(),
                           {handler, refusals_, {authority_.certificate("gateway"), authority_.key("gateway"), ""}})
            .value();
    socket_ = testing::connect_to_loopback(parse_admin_address(server_->address()).value().port);
    trust_ = mqtt::TlsClient::make({authority_.certificate("ca"), "", "", true}).value();
    channel_.emplace(trust_->connect("127.0.0.1").value());
  }
  ~AdminTlsConnectionTest() override { ::close(socket_); }

  /// Until the client has its last word of the handshake in `unsent_`.
  void shake_hands() {
    EXPECT_TRUE(channel_->receive("", text_, unsent_));
    while (!channel_->is_ready() && !HasFailure()) {
      send();
      take();
    }
  }
  void send() { EXPECT_TRUE(testing::send_all(socket_, std::exchange(unsent_, ""))); }
  /// What the server says next; false at the end.
  bool take() {
    std::array<char, 16 * 1024> bytes{};
    ssize_t count = -1;
    for (int i = 0; i < 100 && count < 0; ++i) {
      loop_.context().restart();
      loop_.context().run_one_for(50ms);
      count = ::recv(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    }
    EXPECT_GE(count, 0) << "the server says nothing";
    return count > 0 && channel_->receive({bytes.data(), static_cast<std::size_t>(count)}, text_, unsent_).has_value();
  }
  void ask(const std::string& path) {
    EXPECT_TRUE(channel_->send("GET " + path + " HTTP/1.1\r\nHost: plant-7.example\r\n\r\n", unsent_));
  }

  testing::TestAuthority authority_;
  EventLoop loop_;
  AdminRefusals refusals_;
  std::unique_ptr<AdminServer> server_;
  int socket_ = -1;
  std::unique_ptr<mqtt::TlsClient> trust_;
  std::optional<mqtt::TlsChannel> channel_;
  std::string text_;
  std::string unsent_;
};

TEST_F(AdminTlsConnectionTest, answers_who_says_goodbye_with_the_last_word_of_the_handshake) {
  shake_hands();
  ask("/short");
  channel_->close(unsent_);
  send();
  while (take()) {
  }
  EXPECT_THAT(text_, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("short")));
}

TEST_F(AdminTlsConnectionTest, answers_who_has_said_goodbye_to_the_end) {
  shake_hands();
  send();
  ask("/long");
  channel_->close(unsent_);
  send();
  while (take()) {
  }
  EXPECT_THAT(text_, EndsWith("xend"));
  EXPECT_GT(text_.size(), kAnswerBytes);
  EXPECT_EQ(refusals_.of(AdminRefusal::no_tls), 0U);
}

TEST_F(AdminTlsConnectionTest, counts_who_speaks_no_tls) {
  EXPECT_TRUE(testing::send_all(socket_, "GET /short HTTP/1.1\r\n\r\n"));
  while (!HasFailure() && refusals_.of(AdminRefusal::no_tls) == 0) loop_.context().run_one();
  EXPECT_EQ(refusals_.of(AdminRefusal::no_tls), 1U);
}

}  // namespace
}  // namespace tidegate::daemon
