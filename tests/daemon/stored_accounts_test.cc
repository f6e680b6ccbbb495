#include "daemon/stored_accounts.h"

#include <gtest/gtest.h>

namespace tidegate::daemon {
namespace {

using uplink::LanePlaces;

buffer::StoredCursor stored(const LanePlaces& places, const uplink::Accounting& counts = {}) {
  buffer::StoredCursor cursor;
  const uplink::Cursor& oldest = places.stretches.empty() ? places.live : places.stretches[0].cursor;
  cursor.acked_to = oldest.acked_to;
  cursor.passed_to = oldest.passed_to;
  cursor.accounts = stored_accounts(counts, false, places);
  return cursor;
}

TEST(StoredAccountsTest, BringsThePlacesOfLanesBack) {
  LanePlaces places;
  places.live = {{3, 500}, {3, 510}};
  places.left_at = Position{3, 450};
  places.stretches = {
      {{{1, 10}, {1, 12}}, {2, 100}}, {{{2, 200}, {2, 200}}, {3, 300}}, {{{3, 450}, {3, 451}}, {3, 500}}};
  EXPECT_EQ(places_of(stored(places)), places);
}

TEST(StoredAccountsTest, GoesOnAtTheCursorOfAVersionThatKnewOfNoLanes) {
  buffer::StoredCursor cursor;
  cursor.acked_to = {2, 7};
  cursor.passed_to = {2, 9};
  cursor.accounts = {{"first", 1}, {"replay", 0}};
  EXPECT_EQ(places_of(cursor), (LanePlaces{{{2, 7}, {2, 9}}}));
}

// Its rows are still there; it has sent one chain from the oldest place on, and so is to be gone on with.
TEST(StoredAccountsTest, ForgetsTheLanesWhenSuchAVersionHasMovedTheCursorSince) {
  LanePlaces places;
  places.live = {{3, 500}, {3, 510}};
  places.left_at = Position{1, 10};
  places.stretches = {{{{1, 10}, {1, 12}}, {2, 100}}};
  auto cursor = stored(places);
  cursor.acked_to = {1, 11};
  EXPECT_EQ(places_of(cursor), (LanePlaces{{{1, 11}, {1, 12}}}));
}

// Rows are never deleted from the database.
TEST(StoredAccountsTest, ForgetsStretchesThatAreDone) {
  LanePlaces places;
  places.live = {{3, 500}, {3, 510}};
  places.left_at = Position{1, 10};
  places.stretches = {{{{1, 10}, {1, 12}}, {2, 100}}};
  auto cursor = stored(places);
  const LanePlaces joined{{{3, 600}, {3, 600}}};
  auto later = stored(joined);
  later.accounts.merge(cursor.accounts);
  EXPECT_EQ(places_of(later), joined);
}

TEST(StoredAccountsTest, TakesNoMoreStretchesThanThereMayBe) {
  buffer::StoredCursor cursor;
  cursor.accounts = {{"lanes/stretches", ~std::uint64_t{0}}};
  EXPECT_EQ(places_of(cursor).stretches.size(), uplink::kStretchesMost);
}

}  // namespace
}  // namespace tidegate::daemon
