#include "core/index_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace tidegate {
namespace {

std::set<std::size_t> members(const IndexSet& set) {
  std::set<std::size_t> all;
  for (auto index = set.next(0); index; index = set.next(*index + 1)) all.insert(*index);
  return all;
}

TEST(IndexSet, KnowsWhatIsInIt) {
  IndexSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.next(0), std::nullopt);
  EXPECT_TRUE(set.insert(5000));
  EXPECT_FALSE(set.insert(5000));
  EXPECT_TRUE(set.contains(5000));
  EXPECT_FALSE(set.contains(4999));
  EXPECT_FALSE(set.contains(1'000'000));
  EXPECT_EQ(set.next(5000), 5000U);
  EXPECT_EQ(set.next(5001), std::nullopt);
  EXPECT_TRUE(set.erase(5000));
  EXPECT_FALSE(set.erase(5000));
  EXPECT_TRUE(set.empty());
}

TEST(IndexSet, DoesWhatASetOfNumbersDoes) {
  std::mt19937 random(7);
  IndexSet set;
  std::set<std::size_t> model;
  for (int step = 0; step < 3000; ++step) {
    const std::size_t index = random() % 3 == 0 ? random() % 20'000 : random() % 200;
    if (random() % 5 == 0 && step % 500 == 0) {
      set.clear();
      model.clear();
    } else if (random() % 3 == 0) {
      EXPECT_EQ(set.erase(index), model.erase(index) > 0);
    } else {
      EXPECT_EQ(set.insert(index), model.insert(index).second);
    }
    EXPECT_EQ(set.size(), model.size());
    const auto next = model.lower_bound(index);
    EXPECT_EQ(set.next(index), next == model.end() ? std::nullopt : std::optional(*next));
    if (step % 50 == 0) {
      EXPECT_EQ(members(set), model);
    }
  }
}

TEST(IndexSet, MergesWhatIsNotLeftOut) {
  IndexSet set;
  IndexSet other;
  IndexSet without;
  set.insert(1);
  for (const std::size_t index : {1U, 2U, 63U, 64U, 9000U}) other.insert(index);
  without.insert(2);
  without.insert(64);
  set.merge(other, without);
  EXPECT_EQ(members(set), (std::set<std::size_t>{1, 63, 9000}));
  EXPECT_EQ(set.size(), 3U);
}

TEST(IndexSet, IsEmptyOnceCleared) {
  IndexSet set;
  for (std::size_t index = 0; index < 10'000; index += 7) set.insert(index);
  set.clear();
  EXPECT_TRUE(members(set).empty());
  set.insert(3);
  EXPECT_EQ(members(set), (std::set<std::size_t>{3}));
  set.reset();
  EXPECT_TRUE(members(set).empty());
}

}  // namespace
}  // namespace tidegate
