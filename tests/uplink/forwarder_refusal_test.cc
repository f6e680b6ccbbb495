#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/forwarder_fixture.h"
#include "uplink/refusal_trial.h"

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

  std::optional<RefusedRecord> refuse(const OutgoingBatch& batch) {
    BatchFailure how;
    how.refusal = "field type conflict";
    return forwarder_->failed(batch.id, now_, how);
  }

  static bool holds(const OutgoingBatch& batch, std::uint64_t sequence) {
    return batch.payload->find("{\"seq\":" + std::to_string(sequence) + ",") != std::string::npos;
  }

  /// Answers until nothing is sent any more: what holds one of `poison` is refused, the rest taken. What was given up.
  std::vector<RefusedRecord> answer_all(const std::set<std::uint64_t>& poison) {
    std::vector<RefusedRecord> given_up;
    for (int round = 0; round < 500; ++round) {
      pass(pause_);
      const auto batch = send();
      if (!batch) break;
      if (auto record = answer(*batch, poison)) {
        EXPECT_TRUE(forwarder_->leave_out(record->batch_id));
        given_up.push_back(std::move(*record));
      }
    }
    return given_up;
  }

  std::optional<RefusedRecord> answer(const OutgoingBatch& batch, const std::set<std::uint64_t>& poison) {
    const bool is_refused =
        std::any_of(poison.begin(), poison.end(), [&](std::uint64_t sequence) { return holds(batch, sequence); });
    if (is_refused) return refuse(batch);
    if (batch.beside != 0) {
      witnesses_ += std::to_string(batch.from) + " ";
    } else {
      taken_ += (taken_.empty() ? "" : " ") + std::to_string(batch.from) + ".." + std::to_string(batch.to) +
                (batch.count == 0 ? "(0)" : "");
    }
    return forwarder_->acknowledged(batch.id);
  }

  /// A target that has taken 0 and refuses 1, which is all there is.
  void refuse_one_behind_another() {
    options_.batch_readings_max = 1;
    begin_at({1, 0});
    link_up();
    supply_all(readings(1, 0, 1));
    answer(send_all_later().at(0), {});
  }

  void supply_live(std::uint64_t sequence) {
    const RecordBatch batch = readings(1, sequence, sequence);
    forwarder_->announce(Stream::readings, batch.end());
    while (const auto demand = forwarder_->demand()) {
      const std::uint64_t from = demand->from.sequence;
      const std::uint64_t last = demand->until ? demand->until->sequence - 1 : sequence;
      forwarder_->supply(readings(1, from, last), now_, demand->lane);
    }
  }

  Duration pause_ = minutes(2);
  std::string witnesses_;
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

TEST_F(ForwarderRefusalTest, GivesUpOnlyWhatIsRefusedBetweenWitnessesThatAreTaken) {
  refuse_one_behind_another();
  std::optional<RefusedRecord> record;
  std::string sent;
  while (!record) {
    const auto batch = send_all_later().at(0);
    sent += batch.beside == 0 ? "r" : "w";
    ASSERT_TRUE(holds(batch, batch.beside == 0 ? 1 : 0));
    record = answer(batch, {1});
  }
  EXPECT_EQ(record->at, (Position{1, 1}));
  EXPECT_EQ(std::count(sent.begin(), sent.end(), 'r'), 3) << sent;
  EXPECT_EQ(sent.back(), 'w') << "the last word is the witness's: " << sent;
  EXPECT_EQ(sent.find("rr"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("wwww"), std::string::npos) << sent;
}

TEST_F(ForwarderRefusalTest, AWitnessSaysThatItIsNoPartOfTheChain) {
  refuse_one_behind_another();
  refuse(send_all_later().at(0));
  const auto witness = send_all_later().at(0);
  EXPECT_NE(witness.beside, 0U);
  const ParsedBatch parsed = parse_batch(*witness.payload);
  EXPECT_EQ(parsed.problem, "");
  EXPECT_EQ(parsed.beside, "witness");
  EXPECT_EQ(parsed.from, 0U);
  EXPECT_EQ(parsed.to, 0U);
  EXPECT_EQ(parsed.count, 1U);
}

TEST_F(ForwarderRefusalTest, GivesNothingUpWhileWitnessesAreRefusedToo) {
  refuse_one_behind_another();
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(refuse(send_all_later().at(0)));
  EXPECT_EQ(stretches(send_all_later()), "1..1") << "which is asked no more than the record";
}

TEST_F(ForwarderRefusalTest, BehindAWitnessWithoutAnAnswerTheRecordIsNext) {
  refuse_one_behind_another();
  for (int i = 0; i < 100; ++i) {
    const auto record = send_all_later().at(0);
    ASSERT_EQ(record.beside, 0U);
    ASSERT_FALSE(refuse(record));
    const auto witness = send_all_later().at(0);
    ASSERT_NE(witness.beside, 0U);
    if (i % 2 == 0) fail(witness);
    if (i % 2 == 0) continue;
    link_down();
    link_up();
    ASSERT_FALSE(forwarder_->acknowledged(witness.id)) << "too late";
  }
}

TEST_F(ForwarderRefusalTest, ARecordThatIsRefusedOnceGoesOnThoughTheTargetFailsAtEveryRepeat) {
  refuse_one_behind_another();
  refuse(send_all_later().at(0));
  fail(send_all_later().at(0));
  EXPECT_TRUE(answer_all({}).empty());
  EXPECT_EQ(cursor().acked_to, (Position{1, 2}));
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

TEST_F(ForwarderRefusalTest, WhatTheLaneLiveDeliversIsAWitnessForARecordAloneInTheBacklog) {
  options_.live_first = true;
  options_.retry_most = std::chrono::seconds(1);
  begin_at({1, 0});
  supply_live(0);
  pass(minutes(1));
  link_up();
  ASSERT_FALSE(send()) << "it is left to the backlog";
  supply_live(1);
  const auto late = send();
  ASSERT_TRUE(late);
  ASSERT_EQ(parse_batch(*late->payload).lane, "backlog");
  ASSERT_FALSE(refuse(*late));
  std::vector<RefusedRecord> given_up;
  for (std::uint64_t next = 2; next < 200 && given_up.empty(); ++next) {
    supply_live(next);
    pass(std::chrono::seconds(2));
    while (const auto batch = send()) {
      if (auto record = answer(*batch, {0})) given_up.push_back(*record);
      if (!given_up.empty()) break;
    }
  }
  ASSERT_EQ(given_up.size(), 1U);
  EXPECT_EQ(given_up[0].at, (Position{1, 0}));
  EXPECT_TRUE(forwarder_->leave_out(given_up[0].batch_id));
  answer_all({});
  EXPECT_TRUE(forwarder_->lanes(Stream::readings).stretches.empty());
  EXPECT_EQ(accounting().dropped, 1U);
  EXPECT_FALSE(witnesses_.empty());
}

TEST_F(ForwarderRefusalTest, ARecordOfTheLaneLiveOnTrialIsNotLeftToTheBacklog) {
  options_.live_first = true;
  options_.retry_most = std::chrono::seconds(1);
  begin_at({1, 0});
  link_up();
  std::optional<RefusedRecord> record;
  for (const std::uint64_t sequence : {0U, 1U}) {
    supply_live(sequence);
    pass(std::chrono::seconds(2));
    record = answer(send().value(), {1});
  }
  for (int i = 0; i < 20 && !record; ++i) {
    pass(std::chrono::seconds(10));
    const auto batch = send();
    ASSERT_TRUE(batch);
    ASSERT_EQ(parse_batch(*batch->payload).lane, "live") << "though it is late";
    record = answer(*batch, {1});
  }
  ASSERT_TRUE(record);
  EXPECT_EQ(record->tries, 3U);
}

TEST_F(ForwarderRefusalTest, BehindAReplayWhatWasTakenBeforeIsNoWitness) {
  refuse_one_behind_another();
  CursorMove back;
  back.to = {1, 0};
  back.replayed = 1;
  forwarder_->move(Stream::readings, back);
  supply_all(readings(1, 0, 1));
  for (int i = 0; i < 20; ++i) {
    const auto sent = send_all_later().at(0);
    ASSERT_EQ(sent.beside, 0U);
    refuse(sent);
  }
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

TEST_F(ForwarderRefusalTest, IsTenTimesAsPatientForAnHourWithATargetThatTakesWhatItHadRefused) {
  options_.retry_most = std::chrono::seconds(1);
  refuse_one_behind_another();
  pause_ = std::chrono::seconds(2);
  refuse(send_all_later().at(0));
  EXPECT_TRUE(answer_all({}).empty());
  ASSERT_EQ(cursor().acked_to, (Position{1, 2}));
  supply_all(readings(1, 2, 2));
  const auto tries_of_next = [this](std::uint64_t poison) {
    const auto given_up = answer_all({poison});
    return given_up.empty() ? 0 : given_up[0].tries;
  };
  EXPECT_EQ(tries_of_next(2), 30U);
  pass(std::chrono::hours(1));
  supply_all(readings(1, 3, 3));
  EXPECT_EQ(tries_of_next(3), 3U);
}

TEST_F(ForwarderRefusalTest, GivesUpNoRecordThatHoldsNothingUpWhereNothingWasTakenYet) {
  supply_all(readings(1, 0, 0));
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(refuse(send_all_later().at(0)));
}

TEST_F(ForwarderRefusalTest, IsTenTimesAsPatientWhereNothingWasTakenYetAndTheOrderForbidsToAskOthers) {
  supply_all(readings(1, 0, 1));
  for (int i = 0; i < 3; ++i) refuse(send_all_later().at(0));
  std::uint32_t tries = 0;
  for (std::optional<RefusedRecord> record; !record; ++tries) {
    const auto sent = send_all_later();
    ASSERT_EQ(stretches(sent), "0..0");
    record = refuse(sent[0]);
  }
  EXPECT_EQ(tries, 3U * RefusalTrial::kPatience);
}

TEST_F(ForwarderRefusalTest, AsksWhatIsBehindTheFirstRecordInTurnWithItUntilSomethingIsTaken) {
  options_.inflight_max = 2;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 9));
  const auto given_up = answer_all({0, 1});
  ASSERT_EQ(given_up.size(), 2U);
  EXPECT_EQ(given_up[0].at, (Position{1, 0}));
  EXPECT_EQ(accounting().delivered, 8U);
  EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
}

TEST_F(ForwarderRefusalTest, GivesNothingUpWhereWhatIsBehindIsRefusedToo) {
  options_.inflight_max = 4;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 99));
  int sent = 0;
  for (int i = 0; i < 3000; ++i) {
    for (const OutgoingBatch& batch : send_all_later()) {
      ASSERT_FALSE(refuse(batch));
      ++sent;
    }
  }
  EXPECT_GT(sent, 2000);
  answer_all({});
  EXPECT_EQ(accounting().delivered, 10U * (4 + 1)) << "what was read, and nothing went aside";
}

TEST_F(ForwarderRefusalTest, GoesSlowlyWhereNothingNewIsTakenThoughWitnessesAre) {
  options_.batch_readings_max = 100;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 0));
  answer_all({});
  std::set<std::uint64_t> poison;
  for (std::uint64_t sequence = 1; sequence <= 13; ++sequence) poison.insert(sequence);
  supply_all(readings(1, 1, 13));
  std::vector<std::uint32_t> tries;
  for (const RefusedRecord& record : answer_all(poison)) tries.push_back(record.tries);
  ASSERT_EQ(tries.size(), 12U) << "the last one holds nothing up";
  EXPECT_EQ(std::count(tries.begin(), tries.end(), 3U), std::ptrdiff_t{RefusalTrial::kLettersInARow});
  EXPECT_EQ(tries.back(), 3U * RefusalTrial::kPatience);
}

TEST_F(ForwarderRefusalTest, SendsNothingOfTheStreamBeforeTheRecordIsKeptElsewhere) {
  refuse_one_behind_another();
  const auto give_up = [this] {
    std::optional<RefusedRecord> record;
    while (!record) record = answer(send_all_later().at(0), {1});
    return *record;
  };
  const RefusedRecord record = give_up();
  supply(readings(1, 2, 2));
  EXPECT_TRUE(send_all_later().empty());
  EXPECT_EQ(cursor().passed_to, (Position{1, 1})) << "a restart begins with it";
  forwarder_->keep(record.batch_id, now_);
  EXPECT_TRUE(send_all().empty()) << "there is a pause first";
  const auto again = send_all_later();
  ASSERT_EQ(stretches(again), "1..1");
  const auto at_next_refusal = refuse(again[0]);
  ASSERT_TRUE(at_next_refusal);
  EXPECT_EQ(at_next_refusal->tries, 4U);
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
  std::optional<RefusedRecord> record;
  while (!record) record = answer(send_all_later().at(0), {1});
  CursorMove back;
  back.to = {1, 0};
  back.replayed = 1;
  forwarder_->move(Stream::readings, back);
  EXPECT_FALSE(forwarder_->leave_out(record->batch_id));
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
  // The second is taken before the first is given up.
  std::optional<RefusedRecord> record;
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
  std::optional<RefusedRecord> record;
  while (!record) record = answer(send_all_later().at(0), {1});
  forwarder_->leave_out(record->batch_id);
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
