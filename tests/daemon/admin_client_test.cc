#include <gmock/gmock.h>

#include <thread>

#include "daemon/admin/admin_client.h"
#include "daemon/admin/admin_server.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

/// An admin server on a thread of its own that answers as a test wants.
class AdminClientTest : public ::testing::TestWithParam<std::string> {
 protected:
  void serve(AdminHandler handler) {
    const std::string where = GetParam() == "unix" ? "unix:" + (directory_ / "admin.sock") : "127.0.0.1:0";
    auto server = start_admin_server(loop_, parse_admin_address(where).value(), {std::move(handler), refusals_});
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = std::move(*server);
    address_ = parse_admin_address(server_->address()).value();
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    loop_.post([this] {
      server_->stop();
      loop_.stop();
    });
    thread_.join();
  }

  testing::TemporaryDirectory directory_;
  EventLoop loop_;
  AdminRefusals refusals_;
  std::unique_ptr<AdminServer> server_;
  std::vector<AdminRespond> unanswered_;  // the server's thread fills it, and has ended before it goes
  AdminAddress address_;
  std::thread thread_;
};

TEST_P(AdminClientTest, ReturnsWhatIsAnswered) {
  serve([](const AdminRequest& request, const AdminRespond& respond) {
    AdminResponse response;
    response.body = request.path;
    respond(response);
  });
  EXPECT_EQ(admin_get(address_, "/api/v1/status").value_or("nothing"), "/api/v1/status");
}

TEST_P(AdminClientTest, GivesUpOnADaemonThatDoesNotAnswer) {
  serve([this](const AdminRequest&, AdminRespond respond) { unanswered_.push_back(std::move(respond)); });
  const auto answer = admin_get(address_, "/api/v1/status", 200ms);
  ASSERT_FALSE(answer.has_value());
  EXPECT_THAT(answer.error().message, HasSubstr("does not answer within 200ms"));
}

TEST_P(AdminClientTest, TellsWhatMayBeAskedAgainFromWhatMayNot) {
  serve([](const AdminRequest& request, const AdminRespond& respond) {
    AdminResponse response = refuse(request.path == "/soon" ? 429 : 401, "no");
    if (request.path == "/soon") response.headers.emplace_back("Retry-After", "6");
    respond(response);
  });
  const auto soon = admin_get(address_, "/soon");
  ASSERT_FALSE(soon.has_value());
  EXPECT_EQ(soon.error().code, ErrorCode::retry);
  EXPECT_THAT(soon.error().message, AllOf(HasSubstr("answered 429"), HasSubstr("; in 6 s again")));
  const auto never = admin_get(address_, "/never");
  ASSERT_FALSE(never.has_value());
  EXPECT_EQ(never.error().code, ErrorCode::invalid);
  EXPECT_THAT(never.error().message, Not(HasSubstr("again")));
  EXPECT_THAT(never.error().message, EndsWith("/never answered 401: no")) << "no JSON around it";
}

TEST_P(AdminClientTest, SaysThatAnAnswerIsTooLong) {
  serve([](const AdminRequest&, const AdminRespond& respond) {
    AdminResponse response;
    response.body.assign(65U << 20, 'x');
    respond(std::move(response));
  });
  const auto answer = admin_get(address_, "/api/v1/records");
  ASSERT_FALSE(answer.has_value()) << answer->size();
  EXPECT_THAT(answer.error().message, AllOf(HasSubstr("longer than 64 MiB"), Not(HasSubstr("is it running"))));
}

INSTANTIATE_TEST_SUITE_P(Kinds, AdminClientTest, ::testing::Values("tcp", "unix"));

}  // namespace
}  // namespace tidegate::daemon
