#include "mqtt/broker_socket.h"

#include <gmock/gmock.h>

#include <array>
#include <functional>

namespace tidegate::mqtt {
namespace {

using boost::asio::ip::make_address;
using boost::asio::ip::tcp;
using std::chrono::seconds;
using ::testing::ElementsAre;

/// Writes down what it is told, and writes on when there is room.
class Owner final : public BrokerSocketOwner {
 public:
  explicit Owner(boost::asio::io_context& loop) : socket(loop, std::nullopt) {}
  void on_open() override { told.emplace_back("open"); }
  void on_not_open() override { told.push_back("not open: " + socket.failure().message); }
  void on_input() override { told.emplace_back("input"); }
  void on_room() override { writes = socket.write(); }

  BrokerSocket socket;
  std::vector<std::string> told;
  bool writes = true;
};

class BrokerSocketTest : public ::testing::Test {
 protected:
  void open() {
    owner_->socket.open(owner_, {listener_.local_endpoint()}, seconds(10));
    listener_.async_accept(broker_, [](const boost::system::error_code&) {});
    ASSERT_TRUE(turn_until([&] { return owner_->socket.is_open() && broker_.is_open(); }));
    broker_.non_blocking(true);
  }
  bool turn_until(const std::function<bool()>& holds) {
    for (int turn = 0; turn < 20'000 && !holds(); ++turn) {
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(1));
    }
    return holds();
  }
  std::string read_of_broker() {
    std::string all;
    std::array<char, 65536> buffer{};
    boost::system::error_code problem;
    while (const std::size_t count = broker_.read_some(boost::asio::buffer(buffer), problem)) {
      all.append(buffer.data(), count);
    }
    return all;
  }

  boost::asio::io_context loop_;
  tcp::acceptor listener_{loop_, {make_address("127.0.0.1"), 0}};
  tcp::socket broker_{loop_};
  std::shared_ptr<Owner> owner_ = std::make_shared<Owner>(loop_);
  std::array<char, 4096> buffer_{};
};

TEST_F(BrokerSocketTest, LetsGoOfTheMemoryOfABurst) {
  constexpr std::size_t kBurst = std::size_t{256} * 1024;
  constexpr std::size_t kKept = std::size_t{16} * 1024;
  open();
  std::string out;
  for (int burst = 0; burst < 2; ++burst) {  // both texts that take turns
    out.assign(kBurst, 'a');
    ASSERT_TRUE(owner_->socket.put(out));
    ASSERT_TRUE(owner_->socket.write());
    std::size_t received = 0;
    ASSERT_TRUE(turn_until([&] { return (received += read_of_broker().size()) == kBurst; }));
  }
  EXPECT_GT(out.capacity(), kKept);
  for (int turn = 0; turn < 2; ++turn) {
    ASSERT_TRUE(owner_->socket.put(out));
    EXPECT_LE(out.capacity(), kKept);
    out = "a few bytes";
    ASSERT_TRUE(owner_->socket.put(out));  // gives back what it had for the next
    ASSERT_TRUE(owner_->socket.write());
    EXPECT_LE(out.capacity(), kKept);
  }
}

TEST_F(BrokerSocketTest, WhatTheSocketDoesNotTakeWaitsAndLeavesInOrder) {
  open();
  std::string sent;
  for (int i = 0; sent.size() < std::size_t{16} * 1024 * 1024; ++i) sent += std::to_string(i) + " ";
  std::string out = sent;
  ASSERT_TRUE(owner_->socket.put(out));
  EXPECT_EQ(out, "");
  ASSERT_TRUE(owner_->socket.write());
  EXPECT_GT(owner_->socket.unsent(), 0U);
  EXPECT_TRUE(owner_->socket.waits_for_room());
  EXPECT_TRUE(owner_->socket.taken_so_far());
  out = "and more";
  ASSERT_TRUE(owner_->socket.put(out));
  sent += "and more";
  std::string received;
  ASSERT_TRUE(turn_until([&] { return (received += read_of_broker()).size() == sent.size(); }));
  EXPECT_EQ(received, sent);
  EXPECT_TRUE(turn_until([&] { return !owner_->socket.taken_so_far(); }));
  EXPECT_EQ(owner_->socket.unsent(), 0U);
}

TEST_F(BrokerSocketTest, GivesWhatHasComeAndThenTheEnd) {
  open();
  owner_->socket.wait_for_input();
  broker_.send(boost::asio::buffer(std::string("hello")));
  broker_.close();
  ASSERT_TRUE(turn_until([&] { return owner_->told.size() == 2; }));
  const auto input = owner_->socket.read(buffer_);
  EXPECT_EQ(input.plain, "hello");
  EXPECT_FALSE(input.is_more || input.is_end);
  EXPECT_TRUE(owner_->socket.read(buffer_).is_end);
  EXPECT_TRUE(owner_->socket.failure().is_end);
  EXPECT_THAT(owner_->told, ElementsAre("open", "input"));
}

TEST_F(BrokerSocketTest, NothingIsToldOfOneThatIsClosedAndNothingHoldsOnToIt) {
  open();
  owner_->socket.wait_for_input();
  owner_->socket.close();
  broker_.send(boost::asio::buffer(std::string("hello")));
  loop_.restart();
  loop_.run_for(seconds(10));
  EXPECT_TRUE(loop_.stopped());
  EXPECT_THAT(owner_->told, ElementsAre("open"));
  EXPECT_EQ(owner_.use_count(), 1);
}

TEST_F(BrokerSocketTest, SaysWhyThereIsNoConnection) {
  const tcp::endpoint gone = listener_.local_endpoint();
  listener_.close();
  owner_->socket.open(owner_, {gone}, seconds(10));
  ASSERT_TRUE(turn_until([&] { return !owner_->told.empty(); }));
  EXPECT_THAT(owner_->told, ElementsAre("not open: Connection refused"));
  EXPECT_FALSE(owner_->socket.is_open());
}

}  // namespace
}  // namespace tidegate::mqtt
