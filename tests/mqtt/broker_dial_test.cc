#include "mqtt/broker_dial.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>

#include "tests/support/silent_port.h"

namespace tidegate::mqtt {
namespace {

using boost::asio::ip::make_address;
using boost::asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::seconds;

class BrokerDial : public ::testing::Test {
 protected:
  std::uint16_t port() const { return listener_.local_endpoint().port(); }
  tcp::endpoint at(const char* address) const { return {make_address(address), port()}; }
  void dial_all(std::vector<tcp::endpoint> addresses, Duration patience) {
    dial(*socket_, std::move(addresses), patience, [this, owner = socket_](const Result<void>& connected) {
      told_ =
          connected ? "connected to " + socket_->remote_endpoint().address().to_string() : connected.error().message;
    });
  }
  /// What is told, or "" when nothing is going to be.
  std::string told() {
    loop_.run_for(seconds(20));
    return told_;
  }

  boost::asio::io_context loop_;
  tcp::acceptor listener_{loop_, {make_address("127.0.0.1"), 0}};
  std::shared_ptr<tcp::socket> socket_ = std::make_shared<tcp::socket>(loop_);
  std::string told_;
};

TEST_F(BrokerDial, AnAddressThatDoesNotAnswerCostsItsShareOfTheTime) {
  const testing::SilentPort silent("127.0.0.2", port());
  const auto began = std::chrono::steady_clock::now();
  dial_all({at("127.0.0.2"), at("127.0.0.1")}, milliseconds(600));
  EXPECT_EQ(told(), "connected to 127.0.0.1");
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(300));
}

TEST_F(BrokerDial, AnAddressThatRefusesCostsNoTime) {
  dial_all({at("127.0.0.3"), at("127.0.0.4"), at("127.0.0.1")}, std::chrono::hours(1));
  EXPECT_EQ(told(), "connected to 127.0.0.1");
}

TEST_F(BrokerDial, SaysWhatIsWrongWithTheLastAddress) {
  dial_all({}, seconds(1));
  EXPECT_EQ(told(), "there is no address");
  const testing::SilentPort silent("127.0.0.2", port());
  loop_.restart();
  dial_all({at("127.0.0.2"), at("127.0.0.3")}, milliseconds(20));
  EXPECT_EQ(told(), "Connection refused");
}

TEST_F(BrokerDial, ASocketThatIsClosedEndsIt) {
  const testing::SilentPort silent("127.0.0.2", port());
  dial_all({at("127.0.0.2"), at("127.0.0.1")}, std::chrono::hours(1));
  loop_.poll();
  socket_->close();
  EXPECT_EQ(told(), "");
  EXPECT_TRUE(loop_.stopped()) << "nothing waits any more";
  EXPECT_EQ(socket_.use_count(), 1);
}

TEST_F(BrokerDial, NoOtherProgramInheritsTheSocket) {
  dial_all({at("127.0.0.1")}, seconds(1));
  ASSERT_EQ(told(), "connected to 127.0.0.1");
  EXPECT_EQ(::fcntl(socket_->native_handle(), F_GETFD), FD_CLOEXEC);
}

}  // namespace
}  // namespace tidegate::mqtt
