// What a target says of a batch that it does not take: too large, or not before some time.
#include <algorithm>
#include <set>

#include "tests/uplink/forwarder_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class ForwarderFailureTest : public ForwarderFixture {
 protected:
  void refuse_size(const OutgoingBatch& batch) { forwarder_->failed(batch.id, now_, {.too_large = true}); }
  void turn_away(const OutgoingBatch& batch, Duration time) {
    forwarder_->failed(batch.id, now_, {.retry_after = time});
  }
  RecordBatch wide_readings(std::uint64_t last) {
    RecordBatch batch = readings(1, 0, last, "a/" + std::string(100, 'x'));
    return batch;
  }
  // From the demanded place on, as the daemon reads.
  std::vector<OutgoingBatch> send_from(const RecordBatch& batch) {
    while (forwarder_->demand() && forwarder_->demand()->from < batch.end()) forwarder_->supply(batch, now_);
    return send_all();
  }
};

TEST_F(ForwarderFailureTest, WaitsNoLongerEachTimeWhereAPartWasTaken) {
  link_up();
  supply(readings(1, 0, 9));
  for (int i = 0; i < 20; ++i) {
    pass(options_.retry_first);
    const auto sent = send();
    ASSERT_TRUE(sent) << i;
    forwarder_->failed(sent->id, now_, {.progressed = true});
  }
  Duration longest{};
  for (int i = 0; i < 20; ++i) {
    const auto deadline = forwarder_->next_deadline();
    ASSERT_TRUE(deadline);
    longest = std::max(longest, *deadline - now_);
    pass(*deadline - now_);
    fail(send().value());
  }
  EXPECT_GT(longest, options_.retry_first) << "without that pauses grow";
}

TEST_F(ForwarderFailureTest, HalvesABatchThatIsTooLargeAtOnce) {
  link_up();
  const RecordBatch all = wide_readings(39);
  supply_all(all);
  const auto sent = send_all();
  ASSERT_EQ(stretches(sent), "0..9 10..19 20..29 30..39");
  refuse_size(sent[0]);
  for (std::size_t i = 1; i < sent.size(); ++i) refuse_size(sent[i]);  // of those nothing is known any more
  const auto smaller = send_from(all);
  ASSERT_EQ(smaller.size(), 4U);
  EXPECT_EQ(smaller[0].from, 0U);
  for (const OutgoingBatch& batch : smaller) EXPECT_LE(batch.payload->size(), sent[0].payload->size() / 2);
}

TEST_F(ForwarderFailureTest, HalvesDownToARecordWhichThenWaitsAndIsTriedAgain) {
  options_.inflight_max = 1;
  begin_at({1, 0});
  link_up();
  const RecordBatch all = wide_readings(9);
  supply_all(all);
  auto sent = send_all();
  int refusals = 0;
  while (sent.at(0).count > 1) {
    refuse_size(sent[0]);
    ASSERT_LT(++refusals, 10);
    sent = send_from(all);
    ASSERT_EQ(sent.size(), 1U);
  }
  EXPECT_EQ(stretches(sent), "0..0");
  refuse_size(sent[0]);
  EXPECT_EQ(send_all().size(), 0U);
  EXPECT_EQ(cursor().acked_to, (Position{1, 0})) << "it is not left out";
  const auto again = send_all_later();
  EXPECT_EQ(stretches(again), "0..0");
}

TEST_F(ForwarderFailureTest, MakesBatchesLargerAgainWhenTheTargetTakesThem) {
  options_.inflight_max = 1;
  begin_at({1, 0});
  link_up();
  const RecordBatch all = wide_readings(5'000);
  supply(all);
  auto sent = send_all();
  ASSERT_EQ(sent.at(0).count, 10U);
  refuse_size(sent[0]);
  std::uint32_t first_smaller = 0;
  for (int i = 0; i < 200; ++i) {
    sent = send_from(all);
    ASSERT_EQ(sent.size(), 1U);
    if (first_smaller == 0) first_smaller = sent[0].count;
    if (sent[0].count == 10) break;
    acknowledge(sent[0]);
  }
  EXPECT_LT(first_smaller, 6U);
  EXPECT_EQ(sent[0].count, 10U) << "as configured, not more";
  // What is refused once more comes again later.
  refuse_size(sent[0]);
  int taken = 0;
  for (sent = send_from(all); sent.at(0).count < 10 && taken < 250; ++taken) {
    acknowledge(sent[0]);
    sent = send_from(all);
  }
  EXPECT_EQ(taken, 250);
}

TEST_F(ForwarderFailureTest, SendsNothingBeforeTheTimeThatTheTargetNames) {
  link_up();
  supply_all(readings(1, 0, 29));
  const auto sent = send_all();
  ASSERT_EQ(sent.size(), 3U);
  turn_away(sent[0], minutes(10));
  turn_away(sent[1], seconds(1));  // a shorter one changes nothing
  supply(documents(Stream::alarms, 0, {"{}"}));
  pass(minutes(10) - milliseconds(1));
  EXPECT_EQ(send_all().size(), 0U) << "alarms neither";
  ASSERT_TRUE(forwarder_->next_deadline());
  EXPECT_GE(*forwarder_->next_deadline(), now_);
  pass(minutes(1) + milliseconds(2));  // with the tenth by which it is spread
  const auto again = send_all();
  ASSERT_GE(again.size(), 2U);
  EXPECT_EQ(again[0].stream, Stream::alarms);
}

TEST_F(ForwarderFailureTest, SpreadsWhatComesBackAfterTheTimeOverATenthOfIt) {
  std::set<Duration> pauses;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Forwarder forwarder(options_, "plant-7", tags_, clock_history_, seed);
    for (const Stream stream : kAllStreams) forwarder.restore(stream, {{1, 0}, {1, 0}}, {});
    forwarder.link_up(now_);
    const RecordBatch batch = readings(1, 0, 9);
    forwarder.announce(Stream::readings, batch.end());
    forwarder.supply(batch, now_);
    const auto sent = forwarder.next_batch(now_, wall_);
    ASSERT_TRUE(sent);
    forwarder.failed(sent->id, now_, {.retry_after = seconds(100)});
    const Duration pause = *forwarder.next_deadline() - now_;
    EXPECT_GE(pause, seconds(100));
    EXPECT_LE(pause, seconds(110));
    pauses.insert(pause);
  }
  EXPECT_GT(pauses.size(), 15U);
}

TEST_F(ForwarderFailureTest, AnAcknowledgementThatComesMeanwhileCounts) {
  link_up();
  supply_all(readings(1, 0, 19));
  const auto sent = send_all();
  turn_away(sent[0], minutes(10));
  acknowledge(sent[0]);
  acknowledge(sent[1]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 20}));
}

}  // namespace
}  // namespace tidegate::uplink::testing
