#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tests/uplink/refusal_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::minutes;

class ForwarderRefusalTest : public RefusalFixture {};

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

TEST_F(ForwarderRefusalTest, NothingButTheBatchAsItIsGoesOutWhereNothingMayBeGivenUp) {
  options_.dead_letter_after = 0;
  options_.inflight_max = 4;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 29));
  for (const OutgoingBatch& batch : send_all_later()) acknowledge(batch);
  supply_all(readings(1, 30, 59));
  for (int i = 0; i < 100; ++i) {
    const auto sent = send_all_later();
    ASSERT_EQ(stretches(sent), "30..39 40..49 50..59");
    for (const OutgoingBatch& batch : sent) {
      ASSERT_EQ(batch.beside, 0U);
      ASSERT_EQ(parse_batch(*batch.payload).beside, "");
      ASSERT_FALSE(refuse(batch));
    }
  }
  EXPECT_EQ(accounting().dropped, 0U);
}

TEST_F(ForwarderRefusalTest, WhatCannotBeKeptIsAskedOfMoreAndMoreSeldomAndWithoutWitnesses) {
  refuse_one_behind_another();
  std::optional<RefusedRecord> record;
  while (!record) record = answer(send_all_later().at(0), {1});
  const BootTime begin = now_;
  int asked = 0;
  while (now_ < begin + minutes(60)) {
    forwarder_->keep(record->batch_id, now_);
    std::optional<OutgoingBatch> batch;
    for (; !batch; batch = send()) pass(std::chrono::seconds(1));
    ASSERT_EQ(batch->beside, 0U);
    record = refuse(*batch);
    ASSERT_TRUE(record);
    ++asked;
  }
  EXPECT_LT(asked, 300) << "an hour, with at most one minute between";
}

TEST_F(ForwarderRefusalTest, SendsNothingOfTheStreamBeforeTheRecordIsKeptElsewhere) {
  refuse_one_before_others();
  const RefusedRecord record = give_up();
  EXPECT_TRUE(send_all_later().empty());
  EXPECT_EQ(cursor().passed_to, (Position{1, 1})) << "a restart begins with it";
  forwarder_->keep(record.batch_id, now_);
  EXPECT_TRUE(send_all().empty()) << "there is a pause first";
  const auto again = send_all_later();
  ASSERT_EQ(stretches(again), "1..1");
  const auto at_next_refusal = refuse(again[0]);
  ASSERT_TRUE(at_next_refusal);
  EXPECT_EQ(at_next_refusal->tries, record.tries + 1);
  EXPECT_TRUE(forwarder_->leave_out(record.batch_id));
  EXPECT_FALSE(forwarder_->leave_out(record.batch_id)) << "once is enough";
  const auto instead = send_all();
  ASSERT_EQ(stretches(instead), "1..1");
  EXPECT_EQ(instead[0].count, 0U);
  EXPECT_EQ(cursor().passed_to, (Position{1, 1}));
  acknowledge(instead[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 2}));
  EXPECT_EQ(stretches(send_all_later()), "2..2");
}

TEST_F(ForwarderRefusalTest, SaysThatARecordIsForgottenWhenTheCursorWasMovedMeanwhile) {
  refuse_one_behind_another();
  const RefusedRecord record = give_up();
  CursorMove back;
  back.to = {1, 0};
  back.replayed = 1;
  forwarder_->move(Stream::readings, back);
  EXPECT_FALSE(forwarder_->leave_out(record.batch_id));
  EXPECT_EQ(accounting().dropped, 0U);
}

TEST_F(ForwarderRefusalTest, WhatABatchWithoutEntriesHadToSayTheNextOneSaysWhereTheTargetTakesNone) {
  restart({{1, 5}, {1, 5}}, {});
  link_up();
  supply_all(readings(2, 0, 0));
  supply_all(readings(2, 1, 1, "a/y"));
  pass(minutes(2));
  for (int i = 0; i < 4; ++i) {
    const auto batch = send_all_later().at(0);
    ASSERT_TRUE(parse_batch(*batch.payload).prev);
    refuse(batch);
  }
  std::optional<RefusedRecord> record;
  while (!record) record = answer(send_all_later().at(0), {0});
  forwarder_->leave_out(record->batch_id);
  for (int i = 0; i < 3; ++i) {
    const auto empty = send_all_later().at(0);
    ASSERT_EQ(empty.count, 0U);
    EXPECT_FALSE(refuse(empty));
  }
  EXPECT_EQ(cursor().acked_to, (Position{1, 5})) << "nobody was told yet";
  const auto next = send_all_later().at(0);
  const ParsedBatch parsed = parse_batch(*next.payload);
  EXPECT_EQ(parsed.first(), (Position{2, 0}));
  EXPECT_EQ(parsed.count, 1U);
  ASSERT_TRUE(parsed.prev);
  EXPECT_EQ(*parsed.prev, (ChainEnd{1, 4}));
  acknowledge(next);
  EXPECT_EQ(cursor().acked_to, (Position{2, 2}));
  EXPECT_EQ(accounting().dropped, 1U);
}

TEST_F(ForwarderRefusalTest, TheMarkOfAReplayIsNotLostWithABatchWithoutEntriesThatNobodyTakes) {
  options_.inflight_max = 2;
  options_.batch_readings_max = 1;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 1));
  answer_all({});
  CursorMove back;
  back.to = {1, 0};
  back.replayed = 2;
  forwarder_->move(Stream::readings, back);
  supply_all(readings(1, 0, 1));
  const auto both = send_all_later();
  ASSERT_EQ(both.size(), 2U);
  answer(both[1], {0});
  std::optional<RefusedRecord> record = answer(both[0], {0});
  for (int i = 0; i < 300 && !record; ++i) {
    pass(minutes(2));
    while (const auto batch = send()) {
      if ((record = answer(*batch, {0}))) break;
    }
  }
  ASSERT_TRUE(record);
  forwarder_->leave_out(record->batch_id);
  for (int i = 0; i < 3; ++i) {
    const auto empty = send_all_later();
    ASSERT_EQ(empty.size(), 1U);
    ASSERT_EQ(empty[0].count, 0U);
    ASSERT_TRUE(empty[0].replay);
    refuse(empty[0]);
  }
  EXPECT_EQ(cursor().acked_to, (Position{1, 2}));
  EXPECT_TRUE(forwarder_->is_replay_marked(Stream::readings));
  supply_all(readings(1, 2, 2));
  const auto next = send_all_later();
  ASSERT_EQ(stretches(next), "2..2");
  EXPECT_TRUE(next[0].replay);
  acknowledge(next[0]);
  EXPECT_FALSE(forwarder_->is_replay_marked(Stream::readings));
}

TEST_F(ForwarderRefusalTest, WhatComesLaterSpeaksForABatchWithoutEntriesThatWasTheLast) {
  refuse_one_behind_another();
  forwarder_->leave_out(give_up().batch_id);
  for (int i = 0; i < 3; ++i) refuse(send_all_later().at(0));
  EXPECT_TRUE(send_all_later().empty());
  supply_all(readings(1, 2, 2));
  const auto next = send_all_later();
  ASSERT_EQ(stretches(next), "1..2");
  acknowledge(next[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 3}));
  EXPECT_EQ(accounting().dropped, 1U);
}

TEST_F(ForwarderRefusalTest, ALetterStandsBesideTheChainAndCountsAsAskedForAgain) {
  refuse_one_behind_another();
  const auto letter = forwarder_->make_letter(Stream::readings, {1, 7}, R"({"seq":7,"tag":"a/x","value":1})", wall_);
  const ParsedBatch parsed = parse_batch(*letter.payload);
  EXPECT_EQ(parsed.problem, "");
  EXPECT_EQ(parsed.beside, "letter");
  EXPECT_EQ(parsed.first(), (Position{1, 7}));
  EXPECT_EQ(parsed.last(), (Position{1, 7}));
  EXPECT_TRUE(Forwarder::is_letter(letter.id));
  const auto sent = send_all_later();
  EXPECT_FALSE(Forwarder::is_letter(sent.at(0).id));
  forwarder_->acknowledged(letter.id);
  forwarder_->failed(letter.id, now_);
  EXPECT_EQ(cursor().acked_to, (Position{1, 1}));
  forwarder_->count_letter(Stream::readings);
  EXPECT_EQ(accounting().delivered, 2U);
  EXPECT_EQ(accounting().replayed, 1U);
  EXPECT_EQ(imbalance(accounting(), cursor().passed_to), 0U);
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
