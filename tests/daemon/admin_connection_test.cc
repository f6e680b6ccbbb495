#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <string_view>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "core/descriptor.h"
#include "daemon/admin/admin_server.h"
#include "tests/support/network.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::daemon {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Somebody at the Unix socket, who waits for nothing.
class Visitor {
 public:
  explicit Visitor(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~Visitor() { ::close(socket_); }
  Visitor(const Visitor&) = delete;
  Visitor& operator=(const Visitor&) = delete;

  /// How much of it is taken.
  std::size_t send(std::string_view bytes) const {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  /// All that has come so far.
  const std::string& read() {
    std::array<char, 4096> bytes{};
    ssize_t count = 0;
    while ((count = ::recv(socket_, bytes.data(), bytes.size(), 0)) > 0) {
      text_.append(bytes.data(), static_cast<std::size_t>(count));
    }
    has_ended_ = has_ended_ || count == 0 || errno != EAGAIN;
    return text_;
  }
  bool has_ended() {
    read();
    return has_ended_;
  }

 private:
  int socket_;
  std::string text_;
  bool has_ended_ = false;
};

/// An admin server whose loop turns only when the test says so: nothing of what is sent runs together on its way.
class AdminConnectionTest : public ::testing::Test {
 protected:
  AdminConnectionTest() {
    AdminAddress address;
    address.kind = AdminAddress::Kind::unix_socket;
    address.path = path_;
    AdminHandler handler = [this](const AdminRequest& request, const AdminRespond& respond) {
      AdminResponse response;
      response.body = request.method + " " + request.path + " " + request.body;
      bodies_.push_back(request.body);
      respond(std::move(response));
    };
    server_ = start_admin_server(loop_, address, {std::move(handler), refusals_}).value();
    let_it_work();
  }

  void let_it_work() {
    loop_.context().restart();
    while (loop_.context().poll() > 0) {
    }
  }
  /// What is answered to a request that comes in these pieces.
  std::string answer(const std::vector<std::string_view>& pieces) {
    Visitor visitor(path_);
    for (const std::string_view piece : pieces) {
      let_it_work();
      visitor.send(piece);
    }
    let_it_work();
    return visitor.read();
  }

  testing::TemporaryDirectory directory_;
  const std::string path_ = directory_ / "admin.sock";
  EventLoop loop_;
  std::vector<std::string> bodies_;
  AdminRefusals refusals_;
  std::unique_ptr<AdminServer> server_;
};

struct Request {
  std::string text;
  std::string answer;  // begins like this
};

std::vector<Request> requests() {
  const std::string post = "POST /login HTTP/1.1\r\nHost: localhost\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string none = "HTTP/1.1 411 Length Required\r\n";
  const std::string bad = "HTTP/1.1 400 Bad Request\r\n";
  return {{"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", ok},
          {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n"},
          {"HEAD /metrics HTTP/1.1\r\nHost: [::1]:8480\r\nAccept: */*\r\n\r\n", ok},
          {post + "Content-Length: 7\r\n\r\ntoken=x", ok},
          {post + "Content-Length: 0\r\n\r\n", ok},
          {chunked + "0\r\n\r\n", none},
          {chunked + "0\r\na", none},
          {chunked + "0\r\n\r", none},
          {chunked + "7\r\ntoken=x\r\n0\r\n\r\n", none},
          {chunked + "7;name=\"value\"\r\ntoken=x\r\n0;a=b\r\nTrailer: yes\r\n\r\n", none},
          {chunked + "\r\n\r\n0\r\n", none},
          {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", none},
          {post + "Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", none},
          {post + "Transfer-Encoding: identity\r\n\r\n", none},
          {post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", bad},
          {post + "Content-Length: 99999999\r\n\r\n", "HTTP/1.1 413 Payload Too Large\r\n"},
          {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", bad},
          {"\r\n\r\n", bad}};
}

TEST_F(AdminConnectionTest, answers_a_request_however_it_is_cut_and_takes_no_chunks) {
  for (const Request& request : requests()) {
    const std::string_view text = request.text;
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      EXPECT_THAT(answer({text.substr(0, cut), text.substr(cut)}), StartsWith(request.answer))
          << request.text << "cut at " << cut;
    }
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
    EXPECT_THAT(answer(bytes), StartsWith(request.answer)) << request.text << "byte by byte";
  }
}

TEST_F(AdminConnectionTest, tells_by_head_how_long_the_body_is_and_leaves_it_out) {
  const std::string head = answer({"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"});
  const std::string body = "HEAD /metrics ";
  EXPECT_THAT(head, HasSubstr("Content-Length: " + std::to_string(body.size()) + "\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
}

TEST_F(AdminConnectionTest, gives_the_body_to_the_handler_whole) {
  const std::string text =
      "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" + std::string(60'000, 'b');
  Visitor visitor(path_);
  std::size_t sent = 0;
  while (sent < text.size()) {
    sent += visitor.send(std::string_view(text).substr(sent, 1000));
    let_it_work();
  }
  EXPECT_THAT(visitor.read(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(bodies_, std::vector<std::string>{std::string(60'000, 'b')});
}

TEST_F(AdminConnectionTest, answers_one_request_after_the_other) {
  Visitor visitor(path_);
  visitor.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTTP/1.1\r\nHost: localhost\r\n\r\n");
  let_it_work();
  EXPECT_THAT(visitor.read(), HasSubstr("GET /b"));
  EXPECT_FALSE(visitor.has_ended());
}

TEST_F(AdminConnectionTest, counts_whom_it_turns_away) {
  EXPECT_THAT(answer({"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"}), StartsWith("HTTP/1.1 421 "));
  for (const char* site : {"cross-site", "same-site"}) {
    const std::string text =
        std::string("GET /metrics HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: ") + site + "\r\n\r\n";
    EXPECT_THAT(answer({text}), StartsWith("HTTP/1.1 403 "));
  }
  answer({"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"});
  EXPECT_EQ(refusals_.of(AdminRefusal::other_host), 1U);
  EXPECT_EQ(refusals_.of(AdminRefusal::other_site), 2U);
  EXPECT_EQ(bodies_.size(), 1U);
}

// What has no end is not kept until it has one, nor read for long behind the answer.
TEST_F(AdminConnectionTest, reads_on_with_nobody_who_comes_to_no_end) {
  const std::string post = "POST /login HTTP/1.1\r\nHost: localhost\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  struct Endless {
    std::string head;
    std::string more;
    std::string answer;
  };
  const std::string large = "HTTP/1.1 431 Request Header Fields Too Large\r\n";
  const std::string none = "HTTP/1.1 411 Length Required\r\n";
  for (const Endless& endless : {Endless{"GET /", "aaaaaaaa", large}, Endless{post, "A: b\r\n", large},
                                 Endless{post + "A: ", "bbbbbbb", large}, Endless{chunked + "1;", "aaaaaaaa", none},
                                 Endless{chunked + "0\r\n", "A: b\r\n", none}, Endless{chunked, "1\r\na\r\n", none}}) {
    Visitor visitor(path_);
    std::string piece;
    while (piece.size() < 4096) piece += endless.more;
    visitor.send(endless.head);
    std::size_t taken = 0;
    constexpr std::size_t kSent = std::size_t{32} * 1024 * 1024;
    for (std::size_t sent = 0; sent < kSent; sent += piece.size()) {
      taken += visitor.send(piece);
      let_it_work();
    }
    EXPECT_TRUE(visitor.has_ended()) << endless.head;
    EXPECT_THAT(visitor.read(), StartsWith(endless.answer)) << endless.head;
    EXPECT_LT(taken, 17 * 1024 * 1024) << endless.head;
  }
}

// A browser, or a proxy, sends all of it before it reads.
TEST_F(AdminConnectionTest, SaysWhyToWhoIsStillSendingOverTcp) {
  constexpr std::size_t kBody = std::size_t{4} * 1024 * 1024;
  AdminAddress address;
  address.kind = AdminAddress::Kind::tcp;
  address.host = "127.0.0.1";
  const auto server = start_admin_server(loop_, address, {[](const auto&, const auto&) {}, refusals_}).value();
  const auto port = static_cast<std::uint16_t>(std::stoi(server->address().substr(server->address().rfind(':') + 1)));
  const std::string head = "POST /x HTTP/1.1\r\nHost: localhost\r\n";
  for (const Request& request :
       {Request{head + "Content-Length: " + std::to_string(kBody) + "\r\n\r\n", "HTTP/1.1 413 "},
        Request{head + "Cookie: ", "HTTP/1.1 431 "},
        Request{head + "Transfer-Encoding: chunked\r\n\r\n400000\r\n", "HTTP/1.1 411 "}}) {
    auto answer = std::async(std::launch::async, [&] {
      const Descriptor socket(testing::connect_to_loopback(port));
      EXPECT_TRUE(testing::send_all(socket.get(), request.text + std::string(kBody, 'a')));
      std::string text;
      std::array<char, 4096> bytes{};
      ssize_t count = 0;
      while ((count = ::recv(socket.get(), bytes.data(), bytes.size(), 0)) > 0) {
        text.append(bytes.data(), static_cast<std::size_t>(count));
      }
      EXPECT_EQ(count, 0) << "reset";
      return text;
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      loop_.context().restart();
      loop_.context().run_one_for(std::chrono::milliseconds(10));
    }
    EXPECT_THAT(answer.get(), StartsWith(request.answer));
  }
}

// Browsers and scrapers keep connections that they ask nothing on.
TEST_F(AdminConnectionTest, answers_a_newcomer_where_all_others_are_idle) {
  const std::string request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::vector<std::unique_ptr<Visitor>> idle;
  for (int i = 0; i < 64; ++i) {
    idle.push_back(std::make_unique<Visitor>(path_));
    idle.back()->send(request);
    let_it_work();
    ASSERT_THAT(idle.back()->read(), StartsWith("HTTP/1.1 200 OK")) << i;
  }
  EXPECT_THAT(answer({request}), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_TRUE(idle[0]->has_ended());
  EXPECT_FALSE(idle[1]->has_ended());
}

TEST_F(AdminConnectionTest, takes_no_socket_on_which_somebody_listens) {
  AdminAddress address;
  address.kind = AdminAddress::Kind::unix_socket;
  address.path = path_;
  const auto start_another = [&] {
    return start_admin_server(loop_, address, {[](const auto&, const auto&) {}, refusals_});
  };
  const auto refused = start_another();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("is another daemon using it?"));
  EXPECT_THAT(answer({"GET / HTTP/1.0\r\n\r\n"}), StartsWith("HTTP/1.0 200 OK"));
  // What a killed daemon leaves behind.
  server_.reset();
  const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path_.copy(static_cast<char*>(name.sun_path), sizeof name.sun_path - 1);
  ASSERT_EQ(::bind(left, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  ::close(left);
  EXPECT_TRUE(start_another());
}

}  // namespace
}  // namespace tidegate::daemon
