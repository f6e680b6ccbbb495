#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/uplink/refusal_fixture.h"
#include "uplink/refusal_trial.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::minutes;

class ForwarderTrialTest : public RefusalFixture {};

TEST_F(ForwarderTrialTest, GivesUpOnlyWhatIsRefusedBetweenWitnessesThatAreTaken) {
  refuse_one_before_others();
  std::optional<RefusedRecord> record;
  std::string sent;
  while (!record) {
    feed();
    const auto batch = send_all_later().at(0);
    const std::string beside = parse_batch(*batch.payload).beside;
    sent += beside.empty() ? 'r' : beside[0];
    ASSERT_TRUE(beside == "probe" || holds(batch, beside.empty() ? 1 : 0));
    record = answer(batch, {1});
  }
  EXPECT_EQ(record->at, (Position{1, 1}));
  EXPECT_EQ(std::count(sent.begin(), sent.end(), 'r'), 7) << "alone from the beginning: twice three times, and behind "
                                                             "the probes: "
                                                          << sent;
  EXPECT_EQ(sent.find("rr"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("wwww"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("pp"), sent.find('p')) << sent;
  EXPECT_EQ(std::count(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(sent.find('p')), 'r'), 6)
      << "when only something new was still wanted: " << sent;
  EXPECT_NE(witnesses_.find(" 2 3 "), std::string::npos) << "the next ones: " << witnesses_;
}

TEST_F(ForwarderTrialTest, WhatIsTakenWhileItIsSoughtNeedsNoProbe) {
  options_.batch_readings_max = 10;
  begin_at({1, 0});
  link_up();
  there_ = 10;
  EXPECT_EQ(answer_all({6}).size(), 1U);
  EXPECT_EQ(witnesses_.find_first_not_of("5 "), std::string::npos) << witnesses_;
}

TEST_F(ForwarderTrialTest, AProbeThatIsRefusedIsFollowedByTheNextOne) {
  refuse_one_before_others();
  const auto given_up = answer_all({1, 2, 3, 4});
  EXPECT_EQ(given_up.size(), 4U);
  EXPECT_EQ(accounting().delivered, 6U);
  EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
}

TEST_F(ForwarderTrialTest, AProbeThatIsTakenOnlyAtItsRepeatShowsATargetThatRefusesWithoutAReason) {
  options_.retry_most = std::chrono::seconds(1);
  refuse_one_before_others();
  pause_ = std::chrono::seconds(2);
  int probes = 0;
  std::optional<RefusedRecord> record;
  const BootTime begin = now_;
  for (int i = 0; i < 3'000 && !record; ++i) {
    pass(pause_);
    feed();
    const auto batch = send();
    if (!batch) continue;
    const bool is_probe = parse_batch(*batch->payload).beside == "probe";
    probes += is_probe ? 1 : 0;
    record = is_probe && probes == 1 ? refuse(*batch) : answer(*batch, {1});
    ASSERT_TRUE(probes > 1 || !record);
  }
  ASSERT_TRUE(record);
  EXPECT_GE(now_ - begin, RefusalTrial::kPatience);
}

TEST_F(ForwarderTrialTest, ARecordOfATagOfWhichNothingIsKnownTakesAQuarterOfAnHour) {
  options_.batch_readings_max = 1;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 0, "a/y"));
  answer(send_all_later().at(0), {});
  supply_all(readings(1, 1, 1, "a/z"));
  supply_all(readings(1, 2, 2, "a/y"));
  answer(send_all_later().at(0), {1});
  supply_all(readings(1, 2, 4, "a/y"));
  const BootTime begin = now_;
  EXPECT_EQ(answer_all({1}).size(), 1U);
  EXPECT_GE(now_ - begin, RefusalTrial::kPatience);
}

TEST_F(ForwarderTrialTest, NothingIsGivenUpWhereTheOthersOfItsTagAreRefusedToo) {
  options_.batch_readings_max = 1;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 0, "a/y"));
  answer(send_all_later().at(0), {});
  supply_all(readings(1, 1, 2, "a/z"));
  answer(send_all_later().at(0), {1, 2});
  supply_all(readings(1, 2, 2, "a/z"));
  supply_all(readings(1, 3, 9, "a/y"));
  EXPECT_TRUE(answer_all({1, 2}).empty()) << "as where each tag has a server of its own";
}

TEST_F(ForwarderTrialTest, SomebodyWhoHasLookedAtItPutsTheOneOnTrialAsideAtOnce) {
  refuse_one_before_others();
  EXPECT_FALSE(forwarder_->on_trial(Stream::readings));
  EXPECT_FALSE(forwarder_->put_aside(Stream::readings, {1, 1})) << "it was not refused yet";
  ASSERT_FALSE(answer(send_all_later().at(0), {1}));
  EXPECT_EQ(forwarder_->on_trial(Stream::readings), (Position{1, 1}));
  EXPECT_FALSE(forwarder_->put_aside(Stream::readings, {1, 2}));
  EXPECT_FALSE(forwarder_->put_aside(Stream::events, {1, 1}));
  const auto witness = send_all_later().at(0);
  const auto put = forwarder_->put_aside(Stream::readings, {1, 1});
  ASSERT_TRUE(put);
  EXPECT_NE(put->record.find("\"seq\":1,"), std::string::npos);
  EXPECT_EQ(put->answer, "field type conflict");
  EXPECT_FALSE(forwarder_->on_trial(Stream::readings));
  EXPECT_FALSE(forwarder_->put_aside(Stream::readings, {1, 1})) << "it is being kept";
  EXPECT_FALSE(answer(witness, {1})) << "which was on its way";
  EXPECT_TRUE(send_all_later().empty()) << "nothing passes it before it is kept";
  EXPECT_EQ(cursor().acked_to, (Position{1, 1}));
  EXPECT_TRUE(forwarder_->leave_out(put->batch_id));
  EXPECT_TRUE(answer_all({}).empty());
  EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
  EXPECT_EQ(accounting().reasons.at("dead-letter"), 1U);
}

TEST_F(ForwarderTrialTest, NoLateAnswerCountsForWhatWasPutAside) {
  refuse_one_before_others();
  ASSERT_FALSE(answer(send_all_later().at(0), {1}));
  OutgoingBatch again = send_all_later().at(0);
  for (; again.beside != 0; again = send_all_later().at(0)) ASSERT_FALSE(answer(again, {1}));
  const auto put = forwarder_->put_aside(Stream::readings, {1, 1});
  ASSERT_TRUE(put);
  EXPECT_FALSE(refuse(again));
  forwarder_->keep(put->batch_id, now_);
  EXPECT_EQ(answer_all({1}).size(), 1U) << "it could not be kept, and is decided upon";
  EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
}

TEST_F(ForwarderTrialTest, AWitnessSaysThatItIsNoPartOfTheChain) {
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

TEST_F(ForwarderTrialTest, GivesNothingUpWhileWitnessesAreRefusedToo) {
  refuse_one_behind_another();
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(refuse(send_all_later().at(0)));
  EXPECT_EQ(stretches(send_all_later()), "1..1") << "which is asked no more than the record";
}

TEST_F(ForwarderTrialTest, BehindAWitnessWithoutAnAnswerTheRecordIsNext) {
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

TEST_F(ForwarderTrialTest, ARecordThatIsRefusedOnceGoesOnThoughTheTargetFailsAtEveryRepeat) {
  refuse_one_behind_another();
  refuse(send_all_later().at(0));
  fail(send_all_later().at(0));
  EXPECT_TRUE(answer_all({}).empty());
  EXPECT_EQ(cursor().acked_to, (Position{1, 2}));
}

TEST_F(ForwarderTrialTest, WhatTheLaneLiveDeliversIsAWitnessForARecordAloneInTheBacklog) {
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

TEST_F(ForwarderTrialTest, ARecordOfTheLaneLiveOnTrialIsNotLeftToTheBacklog) {
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
  supply_live(2);
  supply_live(3);
  for (int i = 0; i < 40 && !record; ++i) {
    pass(std::chrono::seconds(10));
    const auto batch = send();
    ASSERT_TRUE(batch);
    ASSERT_EQ(parse_batch(*batch->payload).lane, "live") << "though it is late";
    record = answer(*batch, {1});
  }
  ASSERT_TRUE(record);
  EXPECT_EQ(record->tries, 7U);
}

TEST_F(ForwarderTrialTest, BehindAReplayWhatWasTakenBeforeIsNoWitness) {
  refuse_one_behind_another();
  CursorMove back;
  back.to = {1, 0};
  back.replayed = 1;
  forwarder_->move(Stream::readings, back);
  supply_all(readings(1, 0, 1));
  for (int i = 0; i < 20; ++i) {
    const auto sent = send_all_later().at(0);
    ASSERT_NE(parse_batch(*sent.payload).beside, "witness");
    refuse(sent);
  }
}

TEST_F(ForwarderTrialTest, GivesUpNoRecordThatHoldsNothingUpWhereNothingWasTakenYet) {
  supply_all(readings(1, 0, 0));
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(refuse(send_all_later().at(0)));
}

TEST_F(ForwarderTrialTest, GivesNothingUpWhereWhatIsBehindIsRefusedToo) {
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
  EXPECT_GE(accounting().delivered, 10U * (4 + 1)) << "what was read, and nothing went aside";
  EXPECT_EQ(accounting().dropped, 0U);
}

TEST_F(ForwarderTrialTest, ForAnHourTakesAQuarterOfAnHourWhereTheTargetTookWhatItHadRefused) {
  options_.retry_most = std::chrono::seconds(1);
  refuse_one_behind_another();
  pause_ = std::chrono::seconds(2);
  refuse(send_all_later().at(0));
  EXPECT_TRUE(answer_all({}).empty());
  ASSERT_EQ(cursor().acked_to, (Position{1, 2}));
  const auto takes_for = [this](std::uint64_t poison) {
    there_ = poison + 4;
    const BootTime begin = now_;
    EXPECT_EQ(answer_all({poison}).size(), 1U);
    return now_ - begin;
  };
  EXPECT_GE(takes_for(2), RefusalTrial::kPatience);
  pass(std::chrono::hours(1));
  EXPECT_LT(takes_for(6), minutes(2));
}

TEST_F(ForwarderTrialTest, AsksWhatIsBehindTheFirstRecordUntilSomethingIsTaken) {
  for (const std::uint32_t inflight : {1U, 2U}) {
    options_.inflight_max = inflight;
    begin_at({1, 0});
    link_up();
    there_ = 10;
    const auto given_up = answer_all({0, 1});
    ASSERT_EQ(given_up.size(), 2U);
    EXPECT_EQ(given_up[0].at, (Position{1, 0}));
    EXPECT_EQ(accounting().delivered, 8U);
    EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
  }
}

TEST_F(ForwarderTrialTest, InASilenceWitnessesAloneMakeTenLettersAndNoMore) {
  options_.batch_readings_max = 100;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 0));
  answer_all({});
  std::set<std::uint64_t> poison;
  for (std::uint64_t sequence = 1; sequence <= 13; ++sequence) poison.insert(sequence);
  supply_all(readings(1, 1, 13));
  EXPECT_EQ(answer_all(poison).size(), RefusalTrial::kLettersInARow);
}

}  // namespace
}  // namespace tidegate::uplink::testing
