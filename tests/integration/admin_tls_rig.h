#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mqtt/tls_client.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/test_authority.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {

inline constexpr const char* kToken = "q7Lx0pWz4Rk2Vn8s";
inline constexpr const char* kOtherToken = "another-one-q7Lx0pWz";
inline constexpr const char* kSimulator =
    "[[driver.simulator]]\nname = \"sim\"\ndevices = 1\ntags = 2\ninterval = \"100ms\"\n";

/// A connection to 127.0.0.1:port from another address of loopback, "127.0.0.2". `flags`: SOCK_NONBLOCK.
inline int connect_from(const char* address, std::uint16_t port, int flags = 0) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | flags, 0);
  sockaddr_in from{};
  from.sin_family = AF_INET;
  ::inet_pton(AF_INET, address, &from.sin_addr);
  sockaddr_in to = from;
  ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  to.sin_port = htons(port);
  ::bind(socket, reinterpret_cast<const sockaddr*>(&from), sizeof from);
  ::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  return socket;
}

/// A connection in TLS that trusts one authority.
class SecureConnection {
 public:
  SecureConnection(std::uint16_t port, const std::string& authority) : socket_(connect_to_loopback(port)) {
    if (socket_ < 0) throw std::runtime_error("nobody listens");
    client_ = std::move(mqtt::TlsClient::make({authority, "", "", true}).value());
    channel_.emplace(client_->connect("127.0.0.1").value());
    std::string cipher;
    (void)channel_->receive("", text_, cipher);
    send_all(socket_, cipher);
  }
  ~SecureConnection() { ::close(socket_); }
  SecureConnection(const SecureConnection&) = delete;
  SecureConnection& operator=(const SecureConnection&) = delete;

  /// False: no TLS comes about.
  bool handshake(std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    return read_until([this] { return channel_->is_ready(); }, patience);
  }
  bool send(const std::string& request) {
    std::string cipher;
    return channel_->send(request, cipher).has_value() && send_all(socket_, cipher);
  }
  bool read_until(const std::string& part, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    return read_until([&] { return text_.find(part) != std::string::npos; }, patience);
  }
  /// Whether it ends within the time.
  bool read_to_end(std::chrono::milliseconds patience) {
    read_until([] { return false; }, patience);
    return has_ended_;
  }
  const std::string& text() const { return text_; }

 private:
  template <class Reached>
  bool read_until(Reached reached, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!reached()) {
      std::array<char, 4096> bytes{};
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      pollfd ready{socket_, POLLIN, 0};
      if (has_ended_ || left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
      const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), 0);
      std::string cipher;
      has_ended_ =
          count <= 0 || !channel_->receive({bytes.data(), static_cast<std::size_t>(count)}, text_, cipher).has_value();
      send_all(socket_, cipher);
    }
    return true;
  }

  int socket_;
  std::unique_ptr<mqtt::TlsClient> client_;
  std::optional<mqtt::TlsChannel> channel_;
  std::string text_;
  bool has_ended_ = false;
};

/// The daemon with an admin address that other machines may reach, with a token and a certificate.
class AdminTlsRig : public ::testing::Test {
 protected:
  AdminTlsRig() {
    authority_.make_authority("ca");
    authority_.make_certificate("gateway", "ca", "IP:127.0.0.1");
    write_file(file("token"), std::string(kToken) + "\n");
    write_file(file("other-token"), std::string(kOtherToken) + "\n");
    install("gateway");
  }

  std::string file(const std::string& name) const { return gateway_.directory() + "/" + name; }
  std::string ca() const { return authority_.certificate("ca"); }
  // As a renewal does it: under another name, and moved.
  void install(const std::string& certificate) {
    for (const auto& [from, to] : {std::pair(authority_.certificate(certificate), file("gateway.crt")),
                                   std::pair(authority_.key(certificate), file("gateway.key"))}) {
      std::filesystem::copy_file(from, to + ".new", std::filesystem::copy_options::overwrite_existing);
      std::filesystem::rename(to + ".new", to);
    }
  }
  void configure(const std::string& gateway) {
    write_file(gateway_.config_file(),
               "[gateway]\nid = \"g\"\ndata_dir = \"" + file("data") + "\"\nruntime_dir = \"" + file("run") +
                   "\"\nadmin = \"0.0.0.0:" + std::to_string(gateway_.admin_port()) + "\"\n" + gateway + kSimulator);
  }
  std::string both() const {
    return "admin_token = { file = \"token\" }\nadmin_tls = { cert = \"gateway.crt\", key = { file = \"gateway.key\" } "
           "}\n";
  }
  void start() {
    configure(both());
    gateway_.start_without_waiting();
    // Not by asking: of handshakes an address has only so many.
    const auto is_ready = [this] { return gateway_.log().find("gateway: ready") != std::string::npos; };
    ASSERT_TRUE(wait_until([&] { return !gateway_.is_running() || is_ready(); }, std::chrono::seconds(60)))
        << gateway_.log();
    ASSERT_TRUE(gateway_.is_running()) << gateway_.log();
  }

  static std::string request(const std::string& method, const std::string& path, const std::string& headers,
                             const std::string& body = "") {
    return method + " " + path + " HTTP/1.1\r\nHost: box.plant:8480\r\nConnection: close\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }

  /// Head and body; empty where nobody answers.
  std::string ask(const std::string& request) const {
    try {
      SecureConnection connection(gateway_.admin_port(), ca());
      if (!connection.handshake() || !connection.send(request)) return "";
      connection.read_to_end(std::chrono::seconds(10));
      return connection.text();
    } catch (const std::exception&) {
      return "";
    }
  }
  std::string get(const std::string& path, const std::string& token) const {
    return ask(request("GET", path, bearer(token)));
  }
  std::string log_in(const std::string& token) const {
    return ask(request("POST", "/login", "Content-Type: application/x-www-form-urlencoded\r\n", "token=" + token));
  }
  static std::string cookie_of(const std::string& answer) {
    const std::string mark = "Set-Cookie: ";
    const auto at = answer.find(mark);
    if (at == std::string::npos) return "";
    return "Cookie: " + answer.substr(at + mark.size(), answer.find(';', at) - at - mark.size()) + "\r\n";
  }
  FinishedProcess run(std::vector<std::string> arguments, const std::map<std::string, std::string>& environment = {}) {
    arguments.insert(arguments.begin(), program_path());
    return run_to_end(std::move(arguments), environment);
  }

  GatewayProcess gateway_;
  TestAuthority authority_;
};

}  // namespace tidegate::testing
