#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <memory>

#include "mqtt/client.h"
#include "tests/mqtt/client_recorder.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wait_until.h"

namespace tidegate::mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::wait_until;

class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override { broker_.start(); }

  BrokerOptions options(const std::string& client_id) const {
    BrokerOptions options;
    options.uri = broker_.uri();
    options.client_id = client_id;
    options.reconnect_first = milliseconds(20);
    options.reconnect_most = milliseconds(100);
    return options;
  }
  std::unique_ptr<Client> start_publisher(ClientRecorder& recorder) {
    auto client = make_client(options("publisher"), {}, recorder.handlers());
    client->start();
    return client;
  }
  std::unique_ptr<Client> start_subscriber(ClientRecorder& recorder, std::vector<Subscription> subscriptions) {
    auto client = make_client(options("subscriber"), std::move(subscriptions), recorder.handlers());
    client->start();
    return client;
  }

  testing::MosquittoBroker broker_;
};

TEST_F(ClientTest, ReportsEveryPublishWhenTheBrokerHasIt) {
  ClientRecorder recorder;
  const auto client = start_publisher(recorder);
  ASSERT_TRUE(recorder.wait_until_up());
  for (std::uint64_t ticket = 1; ticket <= 500; ++ticket) client->publish({ticket, "a/b", "payload"});
  ASSERT_TRUE(recorder.wait_until_published(500));
  client->stop(seconds(5));
  std::uint64_t expected = 0;
  for (const auto& [ticket, ok] : recorder.published()) {
    EXPECT_EQ(ticket, ++expected);
    EXPECT_TRUE(ok);
  }
}

TEST_F(ClientTest, OfVersion5SaysWhyTheBrokerDoesNotHaveAPublish) {
  broker_.set_configuration("max_packet_size 1000\nacl_file {dir}/acl\n");
  testing::write_file(broker_.directory() + "/acl", "topic readwrite a/#\n");
  broker_.restart();
  BrokerOptions of_version_5 = options("publisher");
  of_version_5.protocol = ProtocolVersion::v5;
  of_version_5.clean_session = true;
  const auto publish_some = [&](ClientHandlers handlers, ClientRecorder& recorder) {
    auto client = make_client(of_version_5, {}, std::move(handlers));
    client->start();
    EXPECT_TRUE(recorder.wait_until_up());
    client->publish({1, "a/b", "x"});
    client->publish({2, "a/b", std::string(1000, 'x')});
    client->publish({3, "elsewhere", "x"});
    client->publish({4, "a/b", "x"});
    EXPECT_TRUE(recorder.wait_until_published(4));
    client->stop(seconds(5));
    EXPECT_EQ(recorder.links().size(), 1U) << "a refusal is no end of the connection";
  };
  ClientRecorder plain;
  publish_some(plain.handlers(), plain);
  EXPECT_THAT(plain.published(),
              ::testing::UnorderedElementsAre(Pair(1, true), Pair(2, false), Pair(3, false), Pair(4, true)));

  ClientRecorder recorder;
  std::map<std::uint64_t, ReasonCode> reasons;  // read when the client has stopped
  ClientHandlers handlers = recorder.handlers();
  handlers.refused = [&, published = handlers.published](std::uint64_t ticket, const PublishRefusal& why) {
    reasons[ticket] = why.reason;
    published(ticket, false);
  };
  publish_some(handlers, recorder);
  EXPECT_THAT(reasons, ElementsAre(Pair(2, ReasonCode::packet_too_large), Pair(3, ReasonCode::not_authorized)));
}

TEST_F(ClientTest, DeliversWhatIsPublishedInOrder) {
  ClientRecorder sent;
  ClientRecorder received;
  const auto subscriber = start_subscriber(received, {{"plant/+/temp", 1}, {"other/#", 1}});
  const auto publisher = start_publisher(sent);
  ASSERT_TRUE(received.wait_until_up());
  ASSERT_TRUE(sent.wait_until_up());
  publisher->publish({1, "plant/a/temp", "1"});
  publisher->publish({2, "plant/a/other", "2"});
  publisher->publish({3, "other/x/y", std::string("3\0 with a zero", 14)});
  publisher->publish({4, "plant/b/temp", ""});
  ASSERT_TRUE(received.wait_until_received(3));
  EXPECT_THAT(received.messages(),
              ElementsAre("plant/a/temp 1", std::string("other/x/y 3\0 with a zero", 24), "plant/b/temp "));
}

TEST_F(ClientTest, PublishesAtMostOnceWithoutATicket) {
  ClientRecorder sent;
  ClientRecorder received;
  const auto subscriber = start_subscriber(received, {{"plant/#", 1}});
  const auto publisher = start_publisher(sent);
  publisher->publish_at_most_once("plant/a", "while the link may be down");
  ASSERT_TRUE(received.wait_until_up());
  ASSERT_TRUE(sent.wait_until_up());
  publisher->publish_at_most_once("plant/b", "2");
  publisher->publish({1, "plant/c", "3"});
  ASSERT_TRUE(sent.wait_until_published(1));
  ASSERT_TRUE(received.wait_until_received(2));
  EXPECT_THAT(received.messages(), Contains("plant/b 2"));
  EXPECT_THAT(sent.published(), ElementsAre(Pair(1, true)));
}

TEST_F(ClientTest, WhatIsForAnotherConnectionFails) {
  ClientRecorder recorder;
  ClientHandlers handlers = recorder.handlers();
  const auto tried = std::make_shared<std::atomic<std::uint64_t>>(0);
  handlers.will = [tried](std::uint64_t connection) {
    *tried = connection;
    return ConnectionWill{"a/will", "gone"};
  };
  const auto client = make_client(options("publisher"), {}, std::move(handlers));
  client->start();
  ASSERT_TRUE(recorder.wait_until_up());
  const std::uint64_t first = *tried;
  client->reconnect(first + 1);
  client->publish_in(first, {1, "a/b", "payload", 1});
  ASSERT_TRUE(recorder.wait_until_published(1));
  client->reconnect(first);
  ASSERT_TRUE(recorder.wait_until_up(2));
  EXPECT_GT(*tried, first);
  client->publish_in(first, {2, "a/b", "payload", 1});
  client->publish_in(*tried, {3, "a/b", "payload", 0});
  ASSERT_TRUE(recorder.wait_until_published(3));
  EXPECT_THAT(recorder.published(), ElementsAre(Pair(1, true), Pair(2, false), Pair(3, true)));
}

TEST_F(ClientTest, APublishWithoutALinkFailsAtOnce) {
  broker_.stop();
  ClientRecorder recorder;
  const auto client = start_publisher(recorder);
  client->publish({1, "a", "b"});
  ASSERT_TRUE(recorder.wait_until_published(1));
  EXPECT_THAT(recorder.published(), ElementsAre(Pair(1, false)));
  ASSERT_TRUE(recorder.wait_until_down(LinkProblem::unreachable));
}

TEST_F(ClientTest, ANameWithoutAnAddressIsSaidSo) {
  ClientRecorder recorder;
  BrokerOptions broker = options("publisher");
  broker.uri = "mqtt://no-such-broker.invalid:1883";
  const auto client = make_client(broker, {}, recorder.handlers());
  client->start();
  ASSERT_TRUE(recorder.wait_until_down(LinkProblem::unreachable));
  EXPECT_THAT(recorder.links()[0].detail, HasSubstr("\"no-such-broker.invalid\" has no address"));
}

// "127.1" is looked up like any name, and has an address also where no name has one: a bare root without /etc/hosts.
TEST_F(ClientTest, ConnectsToAHostByItsName) {
  ClientRecorder recorder;
  BrokerOptions broker = options("publisher");
  broker.uri = "mqtt://127.1:" + std::to_string(broker_.port());
  const auto client = make_client(broker, {}, recorder.handlers());
  client->start();
  ASSERT_TRUE(recorder.wait_until_up());
}

// The session of a client id that once subscribed is still with the broker.
TEST_F(ClientTest, APublisherThrowsAwayWhatAnOldSessionBrings) {
  ClientRecorder other;
  const auto publisher = make_client(options("other"), {}, other.handlers());
  publisher->start();
  ASSERT_TRUE(other.wait_until_up());
  {
    ClientRecorder subscribed;
    const auto subscriber = make_client(options("publisher"), {{"a", 1}}, subscribed.handlers());
    subscriber->start();
    ASSERT_TRUE(subscribed.wait_until_up());
    subscriber->stop(seconds(5));
  }
  publisher->publish({1, "a", "left over"});
  ASSERT_TRUE(other.wait_until_published(1));
  ClientRecorder recorder;
  ClientHandlers handlers = recorder.handlers();
  handlers.message = nullptr;
  const auto client = make_client(options("publisher"), {}, handlers);
  client->start();
  ASSERT_TRUE(recorder.wait_until_up());
  client->publish({2, "b", "x"});
  ASSERT_TRUE(recorder.wait_until_published(1));
}

TEST_F(ClientTest, ABrokerThatGivesALowerQosIsSaidSo) {
  broker_.set_configuration("max_qos 0");
  broker_.restart();
  for (const auto& subscriptions :
       {std::vector<Subscription>{{"a", 1}}, std::vector<Subscription>{{"b", 0}, {"c", 1}}}) {
    ClientRecorder recorder;
    const auto client = start_subscriber(recorder, subscriptions);
    ASSERT_TRUE(recorder.wait_until_up());
    EXPECT_THAT(recorder.links().back().detail, HasSubstr("asked for to " + subscriptions.back().filter));
    EXPECT_THAT(recorder.links().back().detail, HasSubstr("max_qos"));
    client->stop(seconds(5));
  }
}

TEST_F(ClientTest, ComesBackWhenTheBrokerDoes) {
  ClientRecorder sent;
  ClientRecorder received;
  const auto subscriber = start_subscriber(received, {{"a", 1}});
  const auto publisher = start_publisher(sent);
  ASSERT_TRUE(sent.wait_until_up());
  ASSERT_TRUE(received.wait_until_up());
  broker_.restart();  // without persistence: the sessions are gone, so this needs a new subscription
  ASSERT_TRUE(sent.wait_until_up(2));
  ASSERT_TRUE(received.wait_until_up(2));
  publisher->publish({9, "a", "after"});
  ASSERT_TRUE(received.wait_until_received(1));
  EXPECT_THAT(received.messages(), ElementsAre("a after"));
}

// A broker that is stopped in its tracks acknowledges nothing; its death leaves every publish unknown.
TEST_F(ClientTest, ALostLinkFailsEveryOpenPublishExactlyOnce) {
  ClientRecorder recorder;
  const auto client = start_publisher(recorder);
  ASSERT_TRUE(recorder.wait_until_up());
  ::kill(broker_.pid(), SIGSTOP);
  const std::string large(256 * 1024, 'x');  // more than the socket takes: some still wait
  for (std::uint64_t ticket = 1; ticket <= 60; ++ticket) client->publish({ticket, "a", large});
  broker_.kill();
  ASSERT_TRUE(recorder.wait_until_published(60));
  broker_.start();
  ASSERT_TRUE(recorder.wait_until_up(2));
  client->publish({61, "a", "x"});
  ASSERT_TRUE(recorder.wait_until_published(61));
  client->stop(seconds(5));
  for (std::uint64_t ticket = 1; ticket <= 61; ++ticket) {
    EXPECT_EQ(recorder.reports()[ticket], 1) << ticket;
    EXPECT_THAT(recorder.published(), Contains(Pair(ticket, ticket == 61))) << ticket;
  }
}

// It is stopped in its tracks, and its connection stays.
TEST_F(ClientTest, ABrokerThatAcknowledgesNothingIsConnectedToAnew) {
  BrokerOptions broker = options("publisher");
  broker.acknowledgement_max = seconds(1);
  ClientRecorder recorder;
  const auto client = make_client(broker, {}, recorder.handlers());
  client->start();
  ASSERT_TRUE(recorder.wait_until_up());
  client->publish({1, "a", "x"});
  ASSERT_TRUE(recorder.wait_until_published(1));
  ::kill(broker_.pid(), SIGSTOP);
  client->publish({2, "a", "x"});
  EXPECT_TRUE(recorder.wait_until_down(LinkProblem::lost));
  EXPECT_THAT(recorder.links().back().detail, HasSubstr("has not acknowledged a publish for 1 s"));
  ::kill(broker_.pid(), SIGCONT);
  EXPECT_THAT(recorder.published(), Contains(Pair(2, false)));
  ASSERT_TRUE(recorder.wait_until_up(2));
  client->publish({3, "a", "x"});
  ASSERT_TRUE(recorder.wait_until_published(3));
  EXPECT_THAT(recorder.published(), Contains(Pair(3, true)));
}

// A large one has more time to cross a slow line, and that time is its own.
TEST_F(ClientTest, ALargePublishThatIsAcknowledgedGivesTheBrokerNoMoreTimeForOthers) {
  BrokerOptions broker = options("publisher");
  broker.acknowledgement_max = seconds(1);
  ClientRecorder recorder;
  const auto client = make_client(broker, {}, recorder.handlers());
  client->start();
  ASSERT_TRUE(recorder.wait_until_up());
  client->publish({1, "a", std::string(std::size_t{4} * 1024 * 1024, 'x')});
  ASSERT_TRUE(recorder.wait_until_published(1));
  ::kill(broker_.pid(), SIGSTOP);
  client->publish({2, "a", "x"});
  EXPECT_TRUE(recorder.wait_until_down(LinkProblem::lost));
  EXPECT_EQ(recorder.published(), (std::vector<std::pair<std::uint64_t, bool>>{{1, true}, {2, false}}));
  ::kill(broker_.pid(), SIGCONT);
}

TEST_F(ClientTest, WhatWasGivenUpIsNotSentBehindTheOwnersBack) {
  ClientRecorder sent;
  ClientRecorder received;
  const auto publisher = start_publisher(sent);
  ASSERT_TRUE(sent.wait_until_up());
  ::kill(broker_.pid(), SIGSTOP);
  const std::string large(256 * 1024, 'x');
  for (std::uint64_t ticket = 1; ticket <= 60; ++ticket) publisher->publish({ticket, "old", large});
  broker_.kill();
  ASSERT_TRUE(sent.wait_until_published(60));
  const auto reported = sent.published();
  for (const auto& [ticket, ok] : reported) ASSERT_FALSE(ok) << ticket;

  broker_.set_configuration("log_type all");
  broker_.start();
  ASSERT_TRUE(sent.wait_until_up(2));
  publisher->publish({61, "new", "x"});
  ASSERT_TRUE(sent.wait_until_published(61));
  EXPECT_EQ(broker_.log().find("'old'"), std::string::npos);
  EXPECT_NE(broker_.log().find("'new'"), std::string::npos);
}

TEST_F(ClientTest, AcknowledgesAMessageWhenItIsTaken) {
  broker_.set_configuration("log_type all");
  broker_.restart();
  ClientRecorder sent;
  ClientRecorder received;
  std::atomic<bool> takes{false};
  std::atomic<int> brought{0};
  ClientHandlers handlers = received.handlers();
  handlers.message = [&, note = handlers.message](std::string_view topic, std::string_view payload, bool retained,
                                                  bool duplicate) {
    ++brought;
    return takes && note(topic, payload, retained, duplicate);
  };
  const auto publisher = start_publisher(sent);
  const auto subscriber = make_client(options("subscriber"), {{"a", 1}}, handlers);
  subscriber->start();
  ASSERT_TRUE(sent.wait_until_up());
  ASSERT_TRUE(received.wait_until_up());
  publisher->publish({1, "a", "held"});
  ASSERT_TRUE(wait_until([&] { return brought >= 3; }, seconds(60)));
  EXPECT_EQ(broker_.log().find("Received PUBACK from subscriber"), std::string::npos);
  publisher->publish({2, "a", "behind it"});
  ASSERT_TRUE(sent.wait_until_published(2)) << "another client of the process goes on";
  takes = true;
  ASSERT_TRUE(received.wait_until_received(2));
  EXPECT_THAT(received.messages(), ElementsAre("a held", "a behind it"));
  EXPECT_TRUE(broker_.wait_for_log("Received PUBACK from subscriber", 2));
}

TEST_F(ClientTest, AMessageThatIsNeverTakenDoesNotHoldUpAStop) {
  ClientRecorder sent;
  ClientRecorder received;
  std::atomic<bool> was_brought{false};
  ClientHandlers handlers = received.handlers();
  handlers.message = [&](std::string_view, std::string_view, bool, bool) {
    was_brought = true;
    return false;
  };
  const auto publisher = start_publisher(sent);
  const auto subscriber = make_client(options("subscriber"), {{"a", 1}}, handlers);
  subscriber->start();
  ASSERT_TRUE(sent.wait_until_up());
  ASSERT_TRUE(received.wait_until_up());
  publisher->publish({1, "a", "held"});
  ASSERT_TRUE(wait_until([&] { return was_brought.load(); }, seconds(60)));
  EXPECT_TRUE(subscriber->stop(seconds(60)));
}

TEST_F(ClientTest, AMessageThatWasNotAcknowledgedComesAgain) {
  ClientRecorder sent;
  const auto publisher = start_publisher(sent);
  ClientRecorder first;
  ClientRecorder second;  // told of the SUBACK too, which comes after the message
  auto subscriber = start_subscriber(first, {{"a", 1}});
  ASSERT_TRUE(sent.wait_until_up());
  ASSERT_TRUE(first.wait_until_up());
  subscriber->stop(seconds(5));  // the session stays with the broker
  publisher->publish({1, "a", "while away"});
  ASSERT_TRUE(sent.wait_until_published(1));
  subscriber = start_subscriber(second, {{"a", 1}});
  ASSERT_TRUE(second.wait_until_received(1));
  EXPECT_THAT(second.messages(), ElementsAre("a while away"));
}

TEST_F(ClientTest, TellsARetainedMessageAsOne) {
  broker_.set_configuration("");
  ClientRecorder recorder;
  ASSERT_EQ(
      std::system(("mosquitto_pub -h 127.0.0.1 -p " + std::to_string(broker_.port()) + " -t r -m 5 -r -q 1").c_str()),
      0);
  const auto subscriber = start_subscriber(recorder, {{"r", 1}});
  ASSERT_TRUE(recorder.wait_until_received(1));
  EXPECT_THAT(recorder.messages(), ElementsAre("r retained 5"));
}

TEST_F(ClientTest, NoHandlerIsCalledAfterStop) {
  ClientRecorder recorder;
  const auto client = start_publisher(recorder);
  ASSERT_TRUE(recorder.wait_until_up());
  EXPECT_TRUE(client->stop(seconds(5)));
  EXPECT_TRUE(client->stop(seconds(5))) << "as often as one likes";
  const auto before = recorder.links().size();
  client->publish({1, "a", "b"});
  broker_.restart();
  // Another one, for which the clients' thread comes by afterwards, more than once.
  ClientRecorder other;
  const auto behind = make_client(options("behind"), {}, other.handlers());
  behind->start();
  ASSERT_TRUE(other.wait_until_up());
  behind->publish({1, "a", "b"});
  ASSERT_TRUE(other.wait_until_published(1));
  EXPECT_EQ(recorder.links().size(), before);
  EXPECT_TRUE(recorder.published().empty());
}

TEST_F(ClientTest, StopWaitsForOpenAcknowledgements) {
  ClientRecorder recorder;
  const auto client = start_publisher(recorder);
  ASSERT_TRUE(recorder.wait_until_up());
  for (std::uint64_t ticket = 1; ticket <= 200; ++ticket) client->publish({ticket, "a", "b"});
  ASSERT_TRUE(recorder.wait_until_published(1));
  client->stop(seconds(10));
  std::size_t acknowledged = 0;
  for (const auto& [ticket, ok] : recorder.published()) acknowledged += ok ? 1U : 0U;
  EXPECT_EQ(acknowledged, 200U);
}

}  // namespace
}  // namespace tidegate::mqtt
