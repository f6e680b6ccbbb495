#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <stdexcept>
#include <thread>

#include "mqtt/client.h"
#include "tests/mqtt/client_recorder.h"

namespace tidegate::mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Takes one connection, and answers each SUBSCRIBE with the reason codes it was given, however many were asked for.
class AnsweringBroker {
 public:
  explicit AnsweringBroker(std::string codes) : codes_(std::move(codes)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 4) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no port for a broker");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  AnsweringBroker(const AnsweringBroker&) = delete;
  AnsweringBroker& operator=(const AnsweringBroker&) = delete;
  ~AnsweringBroker() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string uri() const { return "mqtt://127.0.0.1:" + std::to_string(port_); }

 private:
  void serve() {
    for (int connection = ::accept(listener_, nullptr, nullptr); connection >= 0;
         connection = ::accept(listener_, nullptr, nullptr)) {
      for (std::string packet = read_packet(connection); !packet.empty(); packet = read_packet(connection)) {
        const auto type = static_cast<unsigned char>(packet[0]) >> 4U;
        if (type == 1) send(connection, {'\x20', 2, 0, 0});
        if (type == 8) {
          const char length = static_cast<char>(2 + codes_.size());
          send(connection, std::string{'\x90', length} + packet.substr(2, 2) + codes_);
        }
      }
      ::close(connection);
    }
  }
  static void send(int connection, const std::string& bytes) {
    ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // None of the client's is longer than 127 bytes, so that the length is one byte.
  static std::string read_packet(int connection) {
    std::string packet(2, '\0');
    if (::recv(connection, packet.data(), 2, MSG_WAITALL) != 2) return "";
    packet.resize(2 + static_cast<std::size_t>(packet[1]));
    const auto wanted = static_cast<ssize_t>(packet.size() - 2);
    return ::recv(connection, packet.data() + 2, packet.size() - 2, MSG_WAITALL) == wanted ? packet : "";
  }

  const std::string codes_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

// With Paho's C++ layer, which takes from an answer as many codes as were asked for, one for two ended the process.
TEST(ClientSuback, AnAnswerWithAnotherNumberOfCodesEndsTheConnectionAndNotTheProcess) {
  for (const std::string& codes : {std::string(1, '\1'), std::string(), std::string(100, '\1')}) {
    for (const std::size_t count : {1U, 2U}) {
      AnsweringBroker broker(codes);
      BrokerOptions options;
      options.uri = broker.uri();
      options.client_id = "c";
      options.reconnect_first = milliseconds(20);
      options.reconnect_most = milliseconds(100);
      std::vector<Subscription> subscriptions;
      for (std::size_t i = 0; i < count; ++i) subscriptions.push_back({"t/" + std::to_string(i), 1});
      ClientRecorder recorder;
      const auto client = make_client(options, subscriptions, recorder.handlers());
      client->start();
      ASSERT_TRUE(recorder.wait_until_told_of_link(1)) << codes.size() << " codes for each of " << count;
      client->stop(seconds(5));
      const LinkState first = recorder.links().front();
      EXPECT_EQ(first.up, codes.size() == count) << codes.size() << " codes for each of " << count << first.detail;
      if (first.up) continue;
      EXPECT_EQ(first.problem, LinkProblem::lost);
      EXPECT_THAT(first.detail, ::testing::HasSubstr("a SUBACK that answers no SUBSCRIBE"));
    }
  }
}

}  // namespace
}  // namespace tidegate::mqtt
