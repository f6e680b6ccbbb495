#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/forwarder_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::minutes;

class ForwarderRefusalTest : public ForwarderFixture {
 protected:
  ForwarderRefusalTest() {
    options_.dead_letter_after = 3;
    options_.inflight_max = 1;
    begin_at({1, 0});
    link_up();
  }

  std::optional<RefusedRecord> refuse(const OutgoingBatch& batch, bool may_be_general = false) {
    BatchFailure how;
    how.refusal = "field type conflict";
    how.may_be_general = may_be_general;
    return forwarder_->failed(batch.id, now_, how);
  }

  static bool holds(const OutgoingBatch& batch, std::uint64_t sequence) {
    return batch.payload->find("{\"seq\":" + std::to_string(sequence) + ",") != std::string::npos;
  }

  /// Answers until nothing is sent any more: what holds one of `poison` is refused, the rest taken. What was given up.
  std::vector<RefusedRecord> answer_all(const std::set<std::uint64_t>& poison) {
    std::vector<RefusedRecord> given_up;
    for (int round = 0; round < 500; ++round) {
      pass(minutes(2));
      const auto batch = send();
      if (!batch) break;
      answer(*batch, poison, given_up);
    }
    return given_up;
  }

  void answer(const OutgoingBatch& batch, const std::set<std::uint64_t>& poison, std::vector<RefusedRecord>& given_up) {
    for (const std::uint64_t sequence : poison) {
      if (!holds(batch, sequence)) continue;
      if (auto record = refuse(batch)) {
        forwarder_->leave_out(record->batch_id);
        given_up.push_back(std::move(*record));
      }
      return;
    }
    taken_ += (taken_.empty() ? "" : " ") + std::to_string(batch.from) + ".." + std::to_string(batch.to) +
              (batch.count == 0 ? "(0)" : "");
    acknowledge(batch);
  }

  std::string taken_;
};

TEST_F(ForwarderRefusalTest, FindsTheRecordByHalvesAndDeliversAllOthersOnceInOrder) {
  supply_all(readings(1, 0, 9));
  const auto given_up = answer_all({6});
  ASSERT_EQ(given_up.size(), 1U);
  EXPECT_EQ(given_up[0].at, (Position{1, 6}));
  EXPECT_EQ(given_up[0].stream, Stream::readings);
  EXPECT_EQ(given_up[0].answer, "field type conflict");
  EXPECT_EQ(given_up[0].tries, 3U);
  EXPECT_EQ(given_up[0].record.find("{\"seq\":6,\"tag\":\"a/x\",\"time\":"), 0U) << given_up[0].record;
  EXPECT_EQ(given_up[0].record.back(), '}');
  EXPECT_EQ(taken_, "0..4 5..5 6..6(0) 7..9");
  EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
  EXPECT_EQ(accounting().delivered, 9U);
  EXPECT_EQ(accounting().reasons, (std::map<std::string, std::uint64_t>{{"dead-letter", 1}}));
}

TEST_F(ForwarderRefusalTest, FindsSeveralInOneBatchAtItsEndsAndSideBySide) {
  supply_all(readings(1, 0, 9));
  const auto given_up = answer_all({0, 4, 5, 9});
  std::vector<std::uint64_t> sequences;
  for (const RefusedRecord& record : given_up) sequences.push_back(record.at.sequence);
  EXPECT_EQ(sequences, (std::vector<std::uint64_t>{0, 4, 5, 9}));
  EXPECT_EQ(accounting().delivered, 6U);
  EXPECT_EQ(cursor().passed_to, (Position{1, 10}));
}

TEST_F(ForwarderRefusalTest, CountsWhatTheFilterLeavesOutOnceOverTheParts) {
  options_.tags = {"a/*"};
  begin_at({1, 0});
  link_up();
  RecordBatch mixed = readings(1, 0, 15);
  for (const std::size_t i : {0U, 1U, 4U, 6U, 7U, 12U}) mixed.readings[i].tag = tags_.intern("b/x");
  supply_all(mixed);
  const auto given_up = answer_all({8});
  ASSERT_EQ(given_up.size(), 1U);
  EXPECT_EQ(accounting().filtered, 6U);
  EXPECT_EQ(accounting().delivered, 9U);
  EXPECT_EQ(accounting().dropped, 1U);
  EXPECT_EQ(cursor().passed_to, (Position{1, 16}));
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 0U);
}

TEST_F(ForwarderRefusalTest, LooksForTheRecordOnlyWhenTheBatchWasRefusedSoOften) {
  supply_all(readings(1, 0, 9));
  for (int i = 0; i < 3; ++i) {
    const auto sent = send_all_later();
    ASSERT_EQ(stretches(sent), "0..9");
    refuse(sent[0]);
  }
  EXPECT_EQ(stretches(send_all()), "0..4") << "without a pause";
}

TEST_F(ForwarderRefusalTest, TriesForEverWhereNothingMayBeGivenUp) {
  options_.dead_letter_after = 0;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 0));
  for (int i = 0; i < 100; ++i) {
    const auto sent = send_all_later();
    ASSERT_EQ(stretches(sent), "0..0");
    EXPECT_FALSE(refuse(sent[0]));
  }
}

TEST_F(ForwarderRefusalTest, CountsNoFailureThatSaysNothingOfTheRecord) {
  supply_all(readings(1, 0, 0));
  for (int i = 0; i < 100; ++i) {
    const auto sent = send_all_later();
    ASSERT_EQ(stretches(sent), "0..0");
    fail(sent[0]);
    link_down();
    link_up();
  }
}

TEST_F(ForwarderRefusalTest, SendsNothingOfTheStreamBeforeTheRecordIsKeptElsewhere) {
  supply_all(readings(1, 0, 0));
  std::optional<RefusedRecord> record;
  for (int i = 0; i < 3; ++i) record = refuse(send_all_later().at(0));
  ASSERT_TRUE(record);
  supply(readings(1, 1, 1));
  EXPECT_TRUE(send_all_later().empty());
  EXPECT_EQ(cursor().passed_to, (Position{1, 0})) << "a restart begins with it";
  forwarder_->keep(record->batch_id, now_);
  EXPECT_TRUE(send_all().empty()) << "there is a pause first";
  const auto again = send_all_later();
  ASSERT_EQ(stretches(again), "0..0");
  record = refuse(again[0]);
  ASSERT_TRUE(record) << "at the next refusal";
  forwarder_->leave_out(record->batch_id);
  forwarder_->leave_out(record->batch_id);  // once is enough
  const auto instead = send_all();
  ASSERT_EQ(stretches(instead), "0..0");
  EXPECT_EQ(instead[0].count, 0U);
  EXPECT_EQ(cursor().passed_to, (Position{1, 0}));
  acknowledge(instead[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 1}));
  EXPECT_EQ(stretches(send_all_later()), "1..1");
}

TEST_F(ForwarderRefusalTest, GoesOnWhereTheTargetDoesNotTakeABatchWithoutEntriesEither) {
  supply_all(readings(1, 0, 0));
  std::optional<RefusedRecord> record;
  for (int i = 0; i < 3; ++i) record = refuse(send_all_later().at(0));
  ASSERT_TRUE(record);
  forwarder_->leave_out(record->batch_id);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(refuse(send_all_later().at(0)));
  EXPECT_EQ(cursor().acked_to, (Position{1, 1}));
  EXPECT_EQ(accounting().dropped, 1U);
}

TEST_F(ForwarderRefusalTest, IsPatientWithATargetThatMayRefuseEverything) {
  supply_all(readings(1, 0, 0));
  std::uint32_t tries = 0;
  for (std::optional<RefusedRecord> record; !record; ++tries) {
    const auto sent = send_all_later();
    ASSERT_EQ(stretches(sent), "0..0");
    record = refuse(sent[0], true);
  }
  EXPECT_EQ(tries, 3U * Forwarder::kPatience);
}

TEST_F(ForwarderRefusalTest, IsNotSoPatientWhenTheTargetTakesOthers) {
  options_.batch_readings_max = 1;
  options_.inflight_max = 2;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 1));
  auto sent = send_all_later();
  ASSERT_EQ(stretches(sent), "0..0 1..1");
  EXPECT_FALSE(refuse(sent[0], true));
  acknowledge(sent[1]);
  EXPECT_FALSE(refuse(send_all_later().at(0), true));
  EXPECT_TRUE(refuse(send_all_later().at(0), true));
}

TEST_F(ForwarderRefusalTest, AnAnswerToTheWholeSaysNothingOfItsParts) {
  supply_all(readings(1, 0, 9));
  OutgoingBatch whole;
  for (int i = 0; i < 3; ++i) {
    whole = send_all_later().at(0);
    refuse(whole);
  }
  acknowledge(whole);
  EXPECT_EQ(cursor().passed_to, (Position{1, 0}));
  EXPECT_EQ(stretches(send_all()), "0..4");
}

}  // namespace
}  // namespace tidegate::uplink::testing
