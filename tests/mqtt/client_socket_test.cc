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

// A small batch would wait for the broker's TCP to acknowledge the one before.
TEST(ClientSocket, SendsWithoutDelayOnceItIsConnected) {
  testing::MosquittoBroker broker;
  broker.start();
  BrokerOptions options;
  options.uri = broker.uri();
  options.client_id = "prompt";
  ClientRecorder recorder;
  const auto client = make_client(options, {}, recorder.handlers());
  client->start();
  ASSERT_TRUE(recorder.wait_until_up());
  EXPECT_THAT(connections_to(broker.port()), ElementsAre(true));
  client->stop(std::chrono::seconds(5));
}

}  // namespace
}  // namespace tidegate::mqtt
