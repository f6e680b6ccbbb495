#include "daemon/admin/answer_in_time.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

class AnswerInTimeTest : public ::testing::Test {
 protected:
  AdminRespond within(Duration most) {
    return answer_in_time(
        loop_, most,
        [this](const AdminResponse& response) {
          answers_.push_back(std::to_string(response.status) + " " + response.body);
          loop_.stop();
        },
        "not yet");
  }
  static AdminResponse done() {
    AdminResponse response;
    response.body = "done";
    return response;
  }
  void run_for(Duration time) {
    const auto timer = loop_.make_timer();
    timer->arm(time, [this] { loop_.stop(); });
    loop_.run();
  }

  EventLoop loop_;
  std::vector<std::string> answers_;
};

TEST_F(AnswerInTimeTest, gives_the_first_answer_and_no_other) {
  const AdminRespond respond = within(1ms);
  respond(done());
  respond(refuse(500, "again"));
  run_for(20ms);
  EXPECT_THAT(answers_, ElementsAre("200 done"));
}

TEST_F(AnswerInTimeTest, says_so_when_nothing_has_come_and_gives_nothing_more) {
  const AdminRespond respond = within(1ms);
  run_for(10s);
  EXPECT_THAT(answers_, ElementsAre("504 {\"error\":\"not yet\"}"));
  respond(done());
  EXPECT_EQ(answers_.size(), 1U);
}

TEST_F(AnswerInTimeTest, lets_go_of_the_asker_with_the_first_answer) {
  auto asker = std::make_shared<int>();
  const std::weak_ptr<int> watched = asker;
  const AdminRespond respond = answer_in_time(
      loop_, 1h, [asker = std::move(asker)](const AdminResponse&) {}, "not yet");
  EXPECT_FALSE(watched.expired());
  respond(done());
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace tidegate::daemon
