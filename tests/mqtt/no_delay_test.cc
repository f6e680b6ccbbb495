#include "mqtt/no_delay.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "mqtt/client.h"
#include "tests/mqtt/client_recorder.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/network.h"

namespace tidegate::mqtt {
namespace {

using ::testing::ElementsAre;

bool is_without_delay(int fd) {
  int on = 0;
  socklen_t size = sizeof on;
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
  return on != 0;
}

// Of each connection of this process to that port of 127.0.0.1, whether it is without delay.
std::vector<bool> connections_to(std::uint16_t port) {
  constexpr int kFilesMost = 1024;
  std::vector<bool> found;
  for (int fd = 0; fd < kFilesMost; ++fd) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.sin_family != AF_INET) continue;
    if (ntohs(peer.sin_port) == port) found.push_back(is_without_delay(fd));
  }
  return found;
}

TEST(NoDelay, IsForTheConnectionsToThatPort) {
  const std::uint16_t port = testing::free_port();
  const int server = testing::listen_on_loopback(port);
  const std::uint16_t other_port = testing::free_port();
  const int other_server = testing::listen_on_loopback(other_port);
  const int client = testing::connect_to_loopback(port);
  const int other_client = testing::connect_to_loopback(other_port);
  ASSERT_THAT(connections_to(port), ElementsAre(false));
  send_without_delay_to(port);
  EXPECT_THAT(connections_to(port), ElementsAre(true));
  EXPECT_THAT(connections_to(other_port), ElementsAre(false));
  for (const int fd : {server, other_server, client, other_client}) ::close(fd);
}

TEST(NoDelay, IsForTheClientOfPahoOnceItIsConnected) {
  testing::MosquittoBroker broker;
  broker.start();
  BrokerOptions options;
  options.uri = broker.uri();
  options.client_id = "prompt";
  ClientRecorder recorder;
  const auto client = make_paho_client(options, {}, recorder.handlers());
  client->start();
  ASSERT_TRUE(recorder.wait_until_up());
  EXPECT_THAT(connections_to(broker.port()), ElementsAre(true));
  client->stop(std::chrono::seconds(5));
}

}  // namespace
}  // namespace tidegate::mqtt
