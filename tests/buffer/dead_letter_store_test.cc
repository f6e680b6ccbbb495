#include "buffer/dead_letter_store.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "buffer/state_store.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::buffer {
namespace {

DeadLetter letter(const std::string& uplink, std::uint64_t sequence, const std::string& reason = "422: no") {
  return {0,
          uplink,
          Stream::alarms,
          {3, sequence},
          WallTime(std::chrono::milliseconds(1'760'000'000'123 + static_cast<std::int64_t>(sequence))),
          reason,
          "{\"seq\":" + std::to_string(sequence) + ",\"state\":\"raised\"}"};
}

class DeadLetterStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    state_.reset();
    auto opened = StateStore::open(directory_ / "state.db");
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_FALSE((*opened)->notice()) << *(*opened)->notice();
    state_ = std::move(*opened);
  }
  DeadLetterStore& store() { return *state_->dead_letters(); }
  void put(const DeadLetter& one) { ASSERT_TRUE(store().put(one)); }
  std::vector<DeadLetter> list(const std::string& uplink, std::uint64_t after = 0, std::size_t limit = 100) {
    return store().list(uplink, after, limit).value().letters;
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<StateStore> state_;
};

TEST_F(DeadLetterStoreTest, KeepsLettersOverRestarts) {
  put(letter("cloud", 7));
  put(letter("lake", 9, "400: what?"));
  open();
  const auto found = list("");
  ASSERT_EQ(found.size(), 2U);
  DeadLetter expected = letter("cloud", 7);
  expected.id = found[0].id;
  EXPECT_EQ(found[0], expected);
  EXPECT_GT(found[1].id, found[0].id);
  const auto counts = store().counts();

  EXPECT_EQ(counts, (std::map<std::string, DeadLetterCount>{
                        {"cloud", {1, bytes_of(expected), "422: no"}},
                        {"lake", {1, bytes_of(letter("lake", 1, "400: what?")), "400: what?"}}}));
}

TEST_F(DeadLetterStoreTest, HasARecordOnceHoweverOftenItIsGivenUp) {
  put(letter("cloud", 7));
  const std::uint64_t id = list("cloud").at(0).id;
  put(letter("cloud", 7, "422: still no"));
  const auto found = list("cloud");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].id, id);
  EXPECT_EQ(found[0].reason, "422: still no");
}

TEST_F(DeadLetterStoreTest, ListsInPartsAndByUplink) {
  for (std::uint64_t i = 0; i < 10; ++i) put(letter(i % 2 == 0 ? "cloud" : "lake", i));
  std::vector<std::uint64_t> sequences;
  for (std::uint64_t after = 0;;) {
    const auto part = list("lake", after, 2);
    if (part.empty()) break;
    EXPECT_LE(part.size(), 2U);
    for (const DeadLetter& one : part) sequences.push_back(one.at.sequence);
    after = part.back().id;
  }
  EXPECT_EQ(sequences, (std::vector<std::uint64_t>{1, 3, 5, 7, 9}));
}

TEST_F(DeadLetterStoreTest, GivesNoPageOfMoreBytesThanNeedBe) {
  for (std::uint64_t i = 0; i < 4; ++i) {
    DeadLetter large = letter("cloud", i);
    large.record = "\"" + std::string(DeadLetterStore::kPageBytes / 2, 'x') + "\"";
    put(large);
  }
  const auto first = store().list("cloud", 0, 100).value();
  EXPECT_EQ(first.letters.size(), 2U);
  EXPECT_FALSE(first.is_last);
  const auto second = store().list("cloud", first.letters.back().id, 2).value();
  EXPECT_EQ(second.letters.size(), 2U);
  EXPECT_TRUE(second.is_last);
}

TEST_F(DeadLetterStoreTest, FindsOne) {
  put(letter("cloud", 7));
  const std::uint64_t id = list("cloud").at(0).id;
  EXPECT_EQ(store().find("cloud", id).value().value().at, (Position{3, 7}));
  EXPECT_FALSE(store().find("lake", id).value());
  EXPECT_TRUE(store().has("cloud", Stream::alarms, {3, 7}).value());
  EXPECT_FALSE(store().has("cloud", Stream::readings, {3, 7}).value());
  EXPECT_FALSE(store().has("lake", Stream::alarms, {3, 7}).value());
}

TEST_F(DeadLetterStoreTest, CountsTheReasonOfTheNewest) {
  put(letter("cloud", 9, "first"));
  put(letter("cloud", 2, "second"));
  EXPECT_EQ(
      store().counts().at("cloud"),
      (DeadLetterCount{2, bytes_of(letter("cloud", 9, "first")) + bytes_of(letter("cloud", 2, "second")), "second"}));
}

// What is counted as it changes is what the table holds.
TEST_F(DeadLetterStoreTest, KnowsHowManyThereAreWithoutCountingThem) {
  std::mt19937 random(7);
  for (int i = 0; i < 100; ++i) {
    const std::string uplink = random() % 2 == 0 ? "cloud" : "lake";
    const auto there = list(uplink);
    if (random() % 3 != 0 || there.empty()) {
      put(letter(uplink, random() % 20, "reason " + std::to_string(i)));
    } else if (random() % 8 == 0) {
      ASSERT_TRUE(store().drop_all(uplink));
    } else {
      ASSERT_TRUE(store().drop(uplink, {there[random() % there.size()].id, there.back().id, 4711}));
    }
    const auto counts = store().counts();
    open();
    ASSERT_EQ(counts, store().counts()) << "after step " << i;
  }
}

TEST_F(DeadLetterStoreTest, DropsOnlyWhatIsNamedAndOnlyOfThatUplink) {
  for (std::uint64_t i = 0; i < 4; ++i) put(letter("cloud", i));
  put(letter("lake", 1));
  const auto before = list("");
  EXPECT_EQ(store().drop("cloud", {before[0].id, before[2].id, before[4].id, 4711}).value(), 2U);
  EXPECT_EQ(list("cloud").size(), 2U);
  EXPECT_EQ(list("lake").size(), 1U);
  EXPECT_EQ(store().drop_all("cloud").value(), 2U);
  EXPECT_EQ(store().drop_all("cloud").value(), 0U);
  put(letter("cloud", 0));
  EXPECT_GT(list("cloud").at(0).id, before[4].id) << "no id comes twice";
}

}  // namespace
}  // namespace tidegate::buffer
