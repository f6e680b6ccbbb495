#include "uplink/kafka/kafka_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "uplink/kafka/kafka_troubles.h"

namespace tidegate::uplink {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class KafkaWatchTest : public ::testing::Test {
 protected:
  void answer(const std::string& trouble = "") {
    now_ += seconds(1);
    ASSERT_TRUE(watch_.wants_probe(now_));
    watch_.on_answer(now_, trouble);
    watch_.tell();
  }
  void no_answer(const std::string& text) {
    now_ += seconds(1);
    ASSERT_TRUE(watch_.wants_probe(now_));
    watch_.on_no_answer(now_, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, text);
    watch_.tell();
  }

  BootTime now_{};
  std::vector<std::string> links_;
  std::vector<std::string> troubles_;
  TransportHandlers handlers_{[](std::uint64_t, bool) {},
                              [this](bool up, const std::string& detail) { links_.push_back(up ? "up" : detail); },
                              [this](const std::string& reason) { troubles_.push_back(reason); }};
  KafkaWatch watch_{handlers_};
};

TEST_F(KafkaWatchTest, HasTheLinkUpWhenABrokerHasAnswered) {
  watch_.tell();
  EXPECT_THAT(links_, IsEmpty());
  answer();
  EXPECT_THAT(links_, ElementsAre("up"));
  EXPECT_FALSE(watch_.is_doubtful());
}

TEST_F(KafkaWatchTest, SaysOnceWhyThereIsNoConnection) {
  watch_.on_problem(RD_KAFKA_RESP_ERR__TRANSPORT, "k1:9092: Connection refused");
  watch_.on_problem(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down");
  no_answer("timed out");
  no_answer("timed out");
  answer();
  EXPECT_THAT(links_, ElementsAre("k1:9092: Connection refused", "up"));
  EXPECT_THAT(troubles_, IsEmpty());
}

TEST_F(KafkaWatchTest, NamesARefusedLogin) {
  watch_.on_problem(RD_KAFKA_RESP_ERR__AUTHENTICATION, "SASL authentication error");
  no_answer("timed out");
  EXPECT_THAT(links_, ElementsAre("the brokers refuse the login: SASL authentication error"));
}

// They are a broker's, which the library cuts where its room ends.
TEST_F(KafkaWatchTest, TellsWordsAsTextOfBoundedLengthWhateverBytesTheyAre) {
  watch_.on_problem(RD_KAFKA_RESP_ERR__AUTHENTICATION, kafka_words("no \xff \x1b[31m"));
  no_answer("timed out");
  watch_.on_problem(RD_KAFKA_RESP_ERR__TRANSPORT, "\xc3" + std::string(5'000, 'x'));
  no_answer("timed out");
  ASSERT_EQ(links_.size(), 2U);
  EXPECT_EQ(links_[0], "the brokers refuse the login: no \\xff \\x1b[31m");
  EXPECT_THAT(links_[1], StartsWith("\\xc3xxx"));
  EXPECT_LT(links_[1].size(), 500U);
  EXPECT_EQ(describe_kafka_refusal(RD_KAFKA_RESP_ERR_UNKNOWN, "\xff", "t"), "topic t: \\xff");
}

TEST_F(KafkaWatchTest, SaysOfAnOutageWhetherItMayBeOfTheLogin) {
  KafkaWatch watch(handlers_, [](const auto& outage, bool may_be) { return outage + (may_be ? "?" : "!"); });
  const auto told_of = [&](rd_kafka_resp_err_t error) {
    watch.on_problem(error, "so");
    watch.on_no_answer(now_, RD_KAFKA_RESP_ERR__TIMED_OUT, "timed out");
    watch.tell();
    return links_.back();
  };
  watch.on_no_answer(now_, RD_KAFKA_RESP_ERR__TIMED_OUT, "so");
  watch.tell();
  EXPECT_EQ(links_.back(), "no broker answers: so?");
  EXPECT_EQ(told_of(RD_KAFKA_RESP_ERR__AUTHENTICATION), "the brokers refuse the login: so?");
  EXPECT_EQ(told_of(RD_KAFKA_RESP_ERR__TRANSPORT), "so?");
  EXPECT_EQ(told_of(RD_KAFKA_RESP_ERR__SSL), "no TLS connection: so!");
  EXPECT_EQ(told_of(RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED), "the brokers do not let this user produce: so!");
  watch.on_outage("librdkafka makes no producer");
  watch.tell();
  EXPECT_EQ(links_.back(), "librdkafka makes no producer!");
}

TEST_F(KafkaWatchTest, TellsAnOutageAsTroubleAndItsEnd) {
  answer();
  watch_.on_problem(RD_KAFKA_RESP_ERR__TRANSPORT, "k1 is gone");
  watch_.tell();
  EXPECT_THAT(troubles_, IsEmpty()) << "others may do the work";
  no_answer("timed out");
  no_answer("timed out");
  watch_.on_delivered(Stream::readings);
  watch_.tell();
  EXPECT_THAT(troubles_, ElementsAre("k1 is gone", ""));
  EXPECT_THAT(links_, ElementsAre("up"));
}

TEST(KafkaTroubles, SayWhatToLookAtInsteadOfWhatToSet) {
  const auto said = [](const std::string& text) { return describe_kafka_outage(RD_KAFKA_RESP_ERR__TRANSPORT, text); };
  const std::string no_kafka =
      "; what listens there does not answer as Kafka does: check address and port, and whether it is a port of TLS";
  EXPECT_EQ(said("h:1/bootstrap: Receive failed: Invalid response size 1213486160 (0..16000000): increase "
                 "receive.message.max.bytes"),
            "h:1/bootstrap: Receive failed: Invalid response size 1213486160 (0..16000000)" + no_kafka);
  EXPECT_EQ(
      said("h:1/bootstrap: ApiVersionRequest failed: Local: Timed out: probably due to broker version < 0.10 (see "
           "api.version.request configuration) (after 10002ms in state APIVERSION_QUERY)"),
      "h:1/bootstrap: ApiVersionRequest failed: Local: Timed out" + no_kafka);
  EXPECT_THAT(said("Local: Broker transport failure"), HasSubstr("before a broker has answered: check address"));
  EXPECT_EQ(describe_kafka_outage(RD_KAFKA_RESP_ERR__TIMED_OUT,
                                  "Timed out waiting for operation to finish, retry call to resume"),
            "no broker answers: Timed out waiting for operation to finish; it is tried again; are enough brokers there "
            "for its transactions?");
  EXPECT_EQ(said("h:1/1: Connection refused"), "h:1/1: Connection refused");
}

TEST_F(KafkaWatchTest, GivesATopicTimeToBeMade) {
  for (int second = 0; second < 5; ++second) answer("topic t does not exist");
  EXPECT_THAT(troubles_, IsEmpty());
  answer("topic t does not exist");
  answer("topic t does not exist");
  answer();
  EXPECT_THAT(troubles_, ElementsAre("topic t does not exist", ""));
}

TEST_F(KafkaWatchTest, KeepsWhatAStreamIsRefusedForUntilThatStreamIsTaken) {
  answer();
  watch_.on_refused(Stream::alarms, "too large");
  watch_.tell();
  watch_.on_delivered(Stream::readings);
  watch_.tell();
  EXPECT_THAT(troubles_, ElementsAre("too large"));
  watch_.on_delivered(Stream::alarms);
  watch_.tell();
  EXPECT_THAT(troubles_, ElementsAre("too large", ""));
}

TEST_F(KafkaWatchTest, SaysThatNothingIsAcknowledged) {
  answer();
  const BootTime since = now_;
  watch_.on_waiting(now_ + seconds(29), since);
  watch_.tell();
  EXPECT_THAT(troubles_, IsEmpty());
  watch_.on_waiting(now_ + seconds(30), since);
  answer();
  EXPECT_THAT(troubles_, ElementsAre(HasSubstr("min.insync.replicas")));
  watch_.on_waiting(now_, std::nullopt);
  watch_.tell();
  EXPECT_EQ(troubles_.back(), "");
}

TEST_F(KafkaWatchTest, DoesNotTakeAnOutageForABrokerThatAcknowledgesNothing) {
  answer();
  const BootTime since = now_;
  watch_.on_problem(RD_KAFKA_RESP_ERR__TRANSPORT, "k1 is gone");
  no_answer("timed out");
  now_ += seconds(60);
  watch_.on_waiting(now_, since);
  answer();
  watch_.on_waiting(now_ + seconds(1), since);
  watch_.tell();
  EXPECT_THAT(troubles_, ElementsAre("k1 is gone", ""));
  watch_.on_waiting(now_ + seconds(30), since);
  watch_.tell();
  EXPECT_THAT(troubles_.back(), HasSubstr("min.insync.replicas"));
}

}  // namespace
}  // namespace tidegate::uplink
