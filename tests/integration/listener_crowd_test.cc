// Many who mean no good, beside one sensor that does.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "mqtt/packet_encoder.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMebibyte = 1024 * 1024;

/// Sockets to a port of 127.0.0.1 that nobody reads.
class Crowd {
 public:
  Crowd() = default;
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() {
    for (const int fd : sockets_) ::close(fd);
  }

  bool connect(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    sockets_.push_back(fd);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  /// Sends to all what they take without waiting; returns the bytes.
  std::size_t send(const std::string& bytes) {
    std::size_t sent = 0;
    for (const int fd : sockets_) {
      const ssize_t count = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count > 0) sent += static_cast<std::size_t>(count);
    }
    return sent;
  }

 private:
  std::vector<int> sockets_;
};

// As many as `wanted`, or as the system allows beside the 1,200 that the daemon and a test need.
std::size_t sockets_allowed(std::size_t wanted) {
  constexpr rlim_t kOthers = 1200;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::size_t>(std::min<rlim_t>(wanted, limit.rlim_max - std::min(kOthers, limit.rlim_max)));
}

class ListenerCrowd : public ::testing::Test {
 protected:
  ListenerCrowd() : port_(free_port()) {
    gateway_.configure(
        "[buffer]\nsync_interval = \"20ms\"\n[[driver.mqtt_listener]]\nname = \"direct\"\nconnections_max = 12000\n"
        "connect_timeout = \"5s\"\nlisten = \"127.0.0.1:" +
        std::to_string(port_) +
        "\"\n  [[driver.mqtt_listener.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  payload = \"text\"\n");
    gateway_.start();
  }

  void expect_a_sensor_is_acknowledged() {
    const auto done = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(port_), "-q", "2",
                                  "-t", "plant/pump/speed", "-m", "7"});
    EXPECT_EQ(done.end.exit_code, 0) << done.errors << gateway_.log();
  }
  std::size_t descriptors() {
    const std::string folder = "/proc/" + std::to_string(gateway_.process().pid()) + "/fd";
    std::error_code gone;
    const std::filesystem::directory_iterator all(folder, gone);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

  std::uint16_t port_;
  GatewayProcess gateway_;
};

TEST_F(ListenerCrowd, TenThousandConnectionsThatSayNothingTakeLittleAndEndInTime) {
  const std::size_t many = sockets_allowed(10'000);
  expect_a_sensor_is_acknowledged();
  const std::size_t descriptors_before = descriptors();
  const std::size_t memory_before = gateway_.process().resident_bytes();
  Crowd crowd;
  for (std::size_t i = 0; i < many; ++i) ASSERT_TRUE(crowd.connect(port_)) << i;
  crowd.send("\x10");  // of a CONNECT, and no more
  const std::size_t memory = gateway_.process().resident_bytes();
  expect_a_sensor_is_acknowledged();
  EXPECT_TRUE(wait_until([&] { return descriptors() <= descriptors_before; }, seconds(30)));
  EXPECT_LT(memory, memory_before + 64 * kMebibyte);
  expect_a_sensor_is_acknowledged();
  std::printf("%zu bytes more with %zu connections\n", memory - memory_before, many);
  gateway_.stop();
}

TEST_F(ListenerCrowd, AFloodFromClientsThatReadNothingTakesLittleAndKeepsNobodyWaiting) {
  constexpr int kClients = 100;
  expect_a_sensor_is_acknowledged();
  const std::size_t memory_before = gateway_.process().resident_bytes();
  Crowd crowd;
  for (int i = 0; i < kClients; ++i) ASSERT_TRUE(crowd.connect(port_));
  mqtt::ConnectPacket connect;
  connect.clean_start = true;  // without an id each gets one
  std::string bytes;
  mqtt::encode(connect, bytes);
  crowd.send(bytes);
  mqtt::PublishPacket publish;
  publish.topic = "plant/pump/note";
  const std::string text(1000, 'x');
  publish.payload = text;
  publish.qos = 1;
  bytes.clear();
  for (int i = 1; i <= 60; ++i) {
    publish.packet_id = static_cast<std::uint16_t>(i);
    mqtt::encode(publish, mqtt::ProtocolVersion::v3_1_1, bytes);
  }
  std::size_t sent = 0;
  std::size_t most = 0;
  // A packet can be cut where a socket takes no more: then the next bytes are garbage, which is as well.
  for (int round = 0; round < 100; ++round) {
    sent += crowd.send(bytes);
    most = std::max(most, gateway_.process().resident_bytes());
  }
  EXPECT_GT(sent, 20 * kMebibyte);
  EXPECT_LT(most, memory_before + 64 * kMebibyte);
  expect_a_sensor_is_acknowledged();
  std::printf("%zu bytes more after %zu bytes from %d clients\n", most - memory_before, sent, kClients);
  gateway_.stop();
}

}  // namespace
}  // namespace tidegate::testing
