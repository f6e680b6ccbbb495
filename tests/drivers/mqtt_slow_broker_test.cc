// What a session makes of a broker that says little, or slowly.
#include "tests/drivers/subscriber_session_fixture.h"

namespace tidegate::drivers {
namespace {

using mqtt::LinkProblem;
using mqtt::ProtocolVersion;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SlowBroker : public SubscriberSessionVersions {};
INSTANTIATE_TEST_SUITE_P(Both, SlowBroker, ::testing::Values(ProtocolVersion::v3_1_1, ProtocolVersion::v5));

// On a slow line the answer stands behind what the session still had, however long that takes.
TEST_P(SlowBroker, WaitsForTheAnswerBehindOldMessagesAsLongAsSomethingComes) {
  begin(GetParam());
  hear(broker_.connack());
  for (std::uint16_t id = 1; id <= 100; ++id) {
    now_ += seconds(9);
    session_->tick(now_, true);
    hear(broker_.publish(id, "old"));
    session_->release(id);
    ASSERT_FALSE(session_->is_over()) << id;
  }
  const std::string large = broker_.publish(101, std::string(200'000, 'x'));
  for (std::size_t had = 0; had < large.size(); had += 8000) {
    now_ += seconds(9);
    session_->tick(now_, true);
    hear(large.substr(0, had + 8000));
    ASSERT_FALSE(session_->is_over()) << had;
  }
  now_ += seconds(9);
  session_->tick(now_, true);
  EXPECT_FALSE(session_->is_over());
  now_ += seconds(1);
  EXPECT_LE(session_->deadline(), now_);
  session_->tick(now_, true);
  EXPECT_TRUE(session_->is_over()) << "nothing comes any more";
}

// Every byte is a sign of life, and no message ever comes.
TEST_P(SlowBroker, EndsWhereAPacketComesByTheByte) {
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{300'000}}) {  // the latter is let pass by
    options_.queue_bytes = 64 * 1024;
    begin_up(GetParam());
    const std::string packet = broker_.publish(1, std::string(bytes, 'x'));
    std::string held;
    int second = 0;
    for (; !session_->is_over() && second < 1000; ++second) {
      held += packet.at(static_cast<std::size_t>(second));
      held.erase(0, hear(held));
      now_ += seconds(1);
      if (session_->deadline() <= now_) session_->tick(now_, true);
    }
    EXPECT_GE(second, 60);
    EXPECT_LE(second, 61);
    ASSERT_TRUE(session_->link());
    EXPECT_EQ(session_->link()->problem, LinkProblem::lost);
    EXPECT_THAT(session_->link()->detail, HasSubstr("not all there after 60 s"));
  }
}

TEST_P(SlowBroker, WaitsForALargeMessageOnASlowLine) {
  options_.queue_bytes = 4 * 1024 * 1024;
  begin_up(GetParam());
  const std::string packet = broker_.publish(1, std::string(256 * 1024, 'x'));
  std::string held;
  for (std::size_t at = 0; at < packet.size(); at += 850) {
    held += packet.substr(at, 850);
    held.erase(0, hear(held));
    now_ += seconds(1);
    if (session_->deadline() <= now_) session_->tick(now_, true);
    ASSERT_FALSE(session_->is_over()) << at << session_->link()->detail;
  }
  EXPECT_EQ(taken_.size(), 1U);
}

// Each of them is whole in time, however many follow.
TEST_P(SlowBroker, WaitsForSmallMessagesOnASlowLine) {
  begin_up(GetParam());
  const std::string packet = broker_.publish(0, "small", 0);
  std::string held;
  for (int second = 0; second < 600; ++second) {
    held += packet.at(static_cast<std::size_t>(second) % packet.size());
    held.erase(0, hear(held));
    now_ += seconds(1);
    if (session_->deadline() <= now_) session_->tick(now_, true);
    ASSERT_FALSE(session_->is_over()) << second;
  }
  EXPECT_EQ(taken_.size(), 600 / packet.size());
}

TEST_P(SlowBroker, APacketIsNotLateWhileItIsNotRead) {
  begin_up(GetParam());
  const std::string packet = broker_.publish(1, "late");
  hear(packet.substr(0, 5));
  for (int i = 0; i < 100; ++i) {
    now_ += seconds(8);
    session_->tick(now_, false);
  }
  EXPECT_FALSE(session_->is_over());
  now_ += seconds(100);  // nobody has looked since
  session_->read_again(now_);
  session_->tick(now_, true);
  EXPECT_FALSE(session_->is_over());
  hear(packet);
  EXPECT_EQ(taken_.size(), 1U);
}

// Neither a broker that only lives nor a piece of a packet that is looked at again gets on.
TEST_P(SlowBroker, WaitsForNoAnswerWhereNothingGetsOn) {
  const std::string piece = broker_.publish(1, "old").substr(0, 5);
  for (const std::string& said : {broker_.pingresp(), broker_.pingresp() + broker_.pingresp(), piece}) {
    begin(GetParam());
    hear(broker_.connack());
    hear(said);
    for (int i = 0; i < 9; ++i) {
      now_ += seconds(1);
      hear(said);
      session_->tick(now_, true);
    }
    EXPECT_FALSE(session_->is_over()) << said.size();
    now_ += seconds(1);
    session_->tick(now_, true);
    EXPECT_TRUE(session_->is_over()) << said.size();
    EXPECT_THAT(session_->link()->detail, HasSubstr("does not answer the subscription"));
  }
}

// A sign of life stands behind the answer; without that a broker would be waited for as long as messages come.
TEST_P(SlowBroker, GivesUpWhereMessagesAndSignsOfLifeComeAndNoAnswer) {
  begin(GetParam());
  hear(broker_.connack());
  (void)said();
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(said(), IsEmpty()) << i;
    EXPECT_GT(session_->deadline(), now_);
    hear(broker_.publish(0, "old", 0));
    now_ += seconds(1);
    session_->tick(now_, true);
  }
  EXPECT_EQ(said(), broker_.pingreq());
  EXPECT_GT(session_->deadline(), now_);
  hear(broker_.publish(0, "old", 0) + broker_.pingresp());
  EXPECT_LE(session_->deadline(), now_);
  session_->tick(now_, true);
  EXPECT_TRUE(session_->is_over());
  EXPECT_THAT(session_->link()->detail,
              HasSubstr("does not answer the subscription in time, though it sends messages"));
}

TEST_P(SlowBroker, GivesUpAtLastWhereNothingButMessagesComes) {
  begin(GetParam());
  hear(broker_.connack());
  int second = 0;
  for (; !session_->is_over() && second < 10'000; ++second) {
    hear(broker_.publish(0, "old", 0));
    now_ += seconds(1);
    session_->tick(now_, true);
    (void)said();
  }
  EXPECT_EQ(second, 1800);
}

TEST_P(SlowBroker, WaitsForAnAnswerThatItDoesNotRead) {
  begin(GetParam());
  hear(broker_.connack());
  for (int i = 0; i < 100; ++i) {
    now_ += seconds(8);
    session_->tick(now_, false);
  }
  EXPECT_FALSE(session_->is_over());
  hear(broker_.suback());
  EXPECT_TRUE(session_->is_subscribed());
}

}  // namespace
}  // namespace tidegate::drivers
