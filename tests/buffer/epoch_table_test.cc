#include "buffer/epoch_table.h"

#include <gtest/gtest.h>

#include "buffer/gap_record.h"

namespace tidegate::buffer {
namespace {

// Epoch 1 gave out 1 to 9, epoch 3 gave out 10 to 19, epoch 4 nothing, epoch 6 from 20 on; 25 is the next.
class EpochTableTest : public ::testing::Test {
 protected:
  EpochTableTest() {
    table_.add(3, 10);
    table_.add(1, 1);
    table_.add(6, 20);
    table_.add(4, 20);
  }
  std::uint64_t sequence(std::uint32_t epoch, std::uint64_t sequence) {
    return table_.sequence_of({epoch, sequence}, 25);
  }
  EpochTable table_;
};

TEST_F(EpochTableTest, FindsRecordsByPosition) {
  EXPECT_EQ(sequence(1, 1), 1U);
  EXPECT_EQ(sequence(1, 9), 9U);
  EXPECT_EQ(sequence(3, 10), 10U);
  EXPECT_EQ(sequence(6, 24), 24U);
}

TEST_F(EpochTableTest, TakesAPositionBehindAnEpochForTheNextOne) {
  EXPECT_EQ(sequence(1, 10), 10U);
  EXPECT_EQ(sequence(1, 500), 10U);
  EXPECT_EQ(sequence(3, 500), 20U);
  EXPECT_EQ(sequence(4, 1), 20U);
  EXPECT_EQ(sequence(4, 500), 20U);
  EXPECT_EQ(sequence(2, 5), 10U) << "an epoch that gave out nothing and is not known";
  EXPECT_EQ(sequence(5, 5), 20U);
}

TEST_F(EpochTableTest, TakesAPositionBeforeAnEpochForItsFirst) {
  EXPECT_EQ(sequence(3, 4), 10U);
  EXPECT_EQ(sequence(6, 1), 20U);
  EXPECT_EQ(sequence(0, 0), 1U);
}

TEST_F(EpochTableTest, NeverGoesBeyondTheEnd) {
  EXPECT_EQ(sequence(6, 25), 25U);
  EXPECT_EQ(sequence(6, 1000), 25U);
  EXPECT_EQ(sequence(9, 1), 25U);
}

TEST_F(EpochTableTest, NamesTheEpochOfASequence) {
  EXPECT_EQ(table_.epoch_of(9), 1U);
  EXPECT_EQ(table_.epoch_of(10), 3U);
  EXPECT_EQ(table_.epoch_of(20), 6U);
  EXPECT_EQ(table_.last_of(12, 25), 19U);
  EXPECT_EQ(table_.last_of(22, 25), 24U);
}

TEST_F(EpochTableTest, KeepsTheLowestBeginningOfAnEpoch) {
  table_.add(6, 23);
  EXPECT_EQ(sequence(6, 1), 20U);
  table_.add(6, 15);  // the segments say so: epoch 3 cannot reach beyond
  EXPECT_EQ(sequence(3, 500), 15U);
}

TEST_F(EpochTableTest, ForgetsLongGoneEpochs) {
  EpochTable table;
  for (std::uint32_t epoch = 1; epoch <= 1000; ++epoch) table.add(epoch, epoch * 10);
  table.forget_before(9000);
  const auto ranges = table.ranges(Stream::readings, 10'010);
  EXPECT_LT(ranges.size(), 200U);
  EXPECT_LE(ranges.front().epoch, 900U);
  EXPECT_EQ(table.sequence_of({900, 9005}, 10'010), 9005U);
  EXPECT_EQ(table.sequence_of({1, 12}, 10'010), 12U) << "before all that is known, the sequence says it";
}

TEST(GapRecord, IsOneDocumentAnEpoch) {
  EpochTable table;
  table.add(1, 1);
  table.add(2, 10);
  const auto documents = gap_documents(Stream::alarms, {{5, 15}, "overflow", {}, {}}, table, 20);
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0],
            R"({"event":"gap","stream":"alarms","epoch":1,"first":5,"last":9,"count":5,"reason":"overflow",)"
            R"("time_from":0,"time_to":0})");
  const auto gap = parse_gap(documents[1]);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->stream, Stream::alarms);
  EXPECT_EQ(gap->epoch, 2U);
  EXPECT_EQ(gap->range, (SequenceRange{10, 15}));
}

TEST(GapRecord, IsNoOtherDocument) {
  for (const char* other :
       {"", "{}", R"({"event":"start"})", R"({"event":"gap"})", R"({"event":"gap","stream":"x"})",
        R"({"event":"gap","stream":"readings","epoch":1,"first":9,"last":3})",
        R"({"event":"gap","stream":"readings","epoch":1,"first":3,"last":3,"reason":"dead-letter","uplink":"a"})"}) {
    EXPECT_FALSE(parse_gap(other)) << other;
  }
}

TEST(GapRecord, LeavesOutWhatIsMissingAnyway) {
  const std::vector<SequenceRange> holes{{1, 3}, {5, 6}, {8, 20}};
  EXPECT_EQ(without({2, 10}, holes), (std::vector<SequenceRange>{{3, 5}, {6, 8}}));
  EXPECT_EQ(without({9, 12}, holes), std::vector<SequenceRange>{});
  EXPECT_EQ(without({30, 31}, holes), (std::vector<SequenceRange>{{30, 31}}));
}

}  // namespace
}  // namespace tidegate::buffer
