#include "mqtt/in_flight.h"

#include <gtest/gtest.h>

namespace tidegate::mqtt {
namespace {

TEST(InFlight, HandsOutATicketOnce) {
  InFlight open;
  const auto number = open.add(7, 10);
  EXPECT_EQ(open.take(number), 7U);
  EXPECT_EQ(open.take(number), std::nullopt);
}

TEST(InFlight, KeepsTicketsApartWhateverTheOrderOfTheAnswers) {
  InFlight open;
  const auto first = open.add(100, 10);
  const auto second = open.add(200, 10);
  const auto third = open.add(300, 10);
  EXPECT_EQ(open.take(second), 200U);
  EXPECT_EQ(open.take(third), 300U);
  EXPECT_EQ(open.take(first), 100U);
  const auto fourth = open.add(400, 10);
  EXPECT_EQ(open.take(fourth), 400U);
}

TEST(InFlight, TheEndOfAConnectionTakesWhatIsLeftOldestFirst) {
  InFlight open;
  const auto first = open.add(1, 10);
  const auto second = open.add(2, 10);
  const auto third = open.add(3, 10);
  EXPECT_EQ(open.take(second), 2U);
  EXPECT_EQ(open.take_all(), (std::vector<std::uint64_t>{1, 3}));
  EXPECT_TRUE(open.take_all().empty());
  EXPECT_EQ(open.take(first), std::nullopt);
  EXPECT_EQ(open.take(third), std::nullopt);
}

TEST(InFlight, ALateAnswerOfAnOldConnectionDoesNotTakeANewTicket) {
  InFlight open;
  const auto old = open.add(1, 10);
  open.take_all();
  const auto fresh = open.add(2, 10);
  EXPECT_EQ(open.take(old), std::nullopt);
  EXPECT_EQ(open.take(fresh), 2U);
}

TEST(InFlight, KnowsTheOldestAndHowLargeItIs) {
  InFlight open;
  EXPECT_EQ(open.oldest(), std::nullopt);
  const auto first = open.add(1, 1'000'000);
  const auto second = open.add(2, 20);
  open.add(3, 30);
  EXPECT_EQ(open.oldest(), (InFlight::Oldest{first, 1'000'000}));
  open.take(first);
  EXPECT_EQ(open.oldest(), (InFlight::Oldest{second, 20}));
  open.take_all();
  EXPECT_EQ(open.oldest(), std::nullopt);
}

TEST(InFlight, IsEmptyWhenEverythingWasTaken) {
  InFlight open;
  EXPECT_TRUE(open.wait_until_empty(Duration::zero()));
  const auto number = open.add(1, 10);
  EXPECT_FALSE(open.wait_until_empty(Duration::zero()));
  open.take(number);
  EXPECT_TRUE(open.wait_until_empty(Duration::zero()));
}

}  // namespace
}  // namespace tidegate::mqtt
