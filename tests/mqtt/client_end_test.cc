// How a connection ends that is being written to.
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <array>
#include <future>

#include "core/descriptor.h"
#include "mqtt/client.h"
#include "tests/mqtt/client_recorder.h"
#include "tests/support/network.h"

namespace tidegate::mqtt {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;

/// Keeps the one thread of all clients in a handler until it is let go.
class BusyClients {
 public:
  BusyClients() {
    BrokerOptions nowhere;
    nowhere.uri = "mqtt://127.0.0.1:1";
    ClientHandlers handlers;
    handlers.link = [](const LinkState&) {};
    handlers.published = [this](std::uint64_t, bool) {
      is_busy_.set_value();
      let_go_.get_future().wait();
    };
    client_ = make_client(nowhere, {}, std::move(handlers));
    client_->publish({1, "a", "fails, as it is not connected"});
    is_busy_.get_future().wait();
  }
  void let_go() { let_go_.set_value(); }

 private:
  std::promise<void> is_busy_;
  std::promise<void> let_go_;
  std::unique_ptr<Client> client_;
};

bool receive(int socket, std::size_t bytes) {
  std::array<char, 4096> buffer{};
  while (bytes > 0) {
    const ssize_t count = ::recv(socket, buffer.data(), std::min(bytes, buffer.size()), 0);
    if (count <= 0) return false;
    bytes -= static_cast<std::size_t>(count);
  }
  return true;
}

// A broker that ends a connection with something unread resets it, and a write fails before anything is read.
TEST(ClientEnd, WhatTheBrokerSaidBeforeAWriteFailedIsHeard) {
  const std::uint16_t port = testing::free_port();
  const Descriptor listener(testing::listen_on_loopback(port));
  BrokerOptions options;
  options.uri = "mqtt://127.0.0.1:" + std::to_string(port);
  options.client_id = "c";
  options.protocol = ProtocolVersion::v5;
  options.clean_session = true;
  ClientRecorder recorder;
  const auto client = make_client(options, {}, recorder.handlers());
  client->start();
  Descriptor connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(receive(connection.get(), 16));  // the CONNECT
  ASSERT_TRUE(testing::send_all(connection.get(), std::string("\x20\x03\0\0\0", 5)));
  ASSERT_TRUE(recorder.wait_until_up());
  client->publish({1, "a", "small"});
  client->publish({2, "a", std::string(std::size_t{16} * 1024 * 1024, 'x')});
  ASSERT_TRUE(receive(connection.get(), 1'000'000));

  BusyClients busy;
  ASSERT_TRUE(testing::send_all(connection.get(), std::string("\x40\x02\0\x02\xe0\x01\x97", 7)));
  connection.reset();
  busy.let_go();
  ASSERT_TRUE(recorder.wait_until_down(LinkProblem::lost));
  EXPECT_THAT(recorder.links().back().detail, HasSubstr("the broker ended the connection: quota exceeded"));
  EXPECT_THAT(recorder.published(), Contains(Pair(1, true)));
  EXPECT_THAT(recorder.published(), Contains(Pair(2, false)));
  client->stop(seconds(5));
}

/// Reads so much a second, from a socket that holds little for it, and acknowledges publish 2 when that is there.
void read_slowly(int socket, std::size_t bytes, std::size_t bytes_per_second) {
  constexpr std::size_t kPiece = 4096;
  const auto began = std::chrono::steady_clock::now();
  std::promise<void> never;
  for (std::size_t had = 0; had < bytes; had += kPiece) {
    if (!receive(socket, std::min(kPiece, bytes - had))) return;
    never.get_future().wait_until(began + std::chrono::microseconds(1'000'000 * had / bytes_per_second));
    never = {};
  }
  testing::send_all(socket, std::string("\x40\x02\0\x02", 4));
}

// What is left of it in the kernel takes twice as long as a broker may be silent.
TEST(ClientEnd, ASlowLineIsNotTakenForADeadOne) {
  const std::uint16_t port = testing::free_port();
  const Descriptor listener(testing::listen_on_loopback(port));
  constexpr int kHeld = 4096;
  ASSERT_EQ(::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &kHeld, sizeof kHeld), 0);
  BrokerOptions options;
  options.uri = "mqtt://127.0.0.1:" + std::to_string(port);
  options.client_id = "c";
  options.keep_alive = seconds(1);
  ClientRecorder recorder;
  const auto client = make_client(options, {}, recorder.handlers());
  client->start();
  const Descriptor connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(receive(connection.get(), 15));  // the CONNECT
  ASSERT_TRUE(testing::send_all(connection.get(), std::string("\x20\x02\0\0", 4)));
  ASSERT_TRUE(recorder.wait_until_up());
  const std::string payload(std::size_t{224} * 1024, 'x');
  client->publish({1, "a", payload});
  read_slowly(connection.get(), payload.size() + 9, std::size_t{40} * 1024);
  EXPECT_TRUE(recorder.wait_until_published(1));
  EXPECT_THAT(recorder.published(), Contains(Pair(1, true)));
  EXPECT_EQ(recorder.links().size(), 1U) << recorder.links().back().detail;
  client->stop(seconds(5));
}

}  // namespace
}  // namespace tidegate::mqtt
