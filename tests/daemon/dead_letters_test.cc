#include "daemon/dead_letters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/state_store.h"
#include "tests/support/fake_ring_log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

uplink::RefusedRecord refused(std::uint64_t sequence, Stream stream = Stream::readings) {
  uplink::RefusedRecord record;
  record.stream = stream;
  record.at = {2, sequence};
  record.record = "{\"seq\":" + std::to_string(sequence) + "}";
  record.answer = "422: no";
  return record;
}

class DeadLettersTest : public ::testing::Test {
 protected:
  DeadLettersTest() { log_.sync_by_jobs(); }

  /// Runs the loop until it is answered; the error's text, or "".
  std::string keep(const uplink::RefusedRecord& record, std::uint64_t most = 10, std::uint64_t bytes = 1000) {
    std::optional<std::string> answer;
    letters_.keep("lake", record, {most, bytes}, [&](const Result<void>& kept) {
      answer = kept ? "" : kept.error().message;
      loop_.stop();
    });
    run_until(answer);
    return answer.value_or("no answer");
  }
  /// With a target that answers so.
  std::string retry(std::uint64_t id, const Result<void>& answer_of_target) {
    std::optional<std::string> answer;
    const auto send = [&](const buffer::DeadLetter& letter, const auto& sent) {
      EXPECT_EQ(letter.at, (Position{2, 7}));
      sent(answer_of_target);
    };
    letters_.retry("lake", id, send, [&](const Result<void>& sent) {
      answer = sent ? "" : sent.error().message;
      loop_.stop();
    });
    run_until(answer);
    return answer.value_or("no answer");
  }
  std::uint64_t drop_all() {
    std::optional<std::uint64_t> answer;
    letters_.drop("lake", std::nullopt, [&](const Result<std::uint64_t>& dropped) {
      answer = dropped.value_or(0);
      loop_.stop();
    });
    run_until(answer);
    return answer.value_or(0);
  }
  template <class T>
  void run_until(const std::optional<T>& answer) {
    const auto give_up = loop_.make_timer();
    give_up->arm(5s, [this] { loop_.stop(); });
    if (!answer) loop_.run();
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<buffer::StateStore> store_ = std::move(*buffer::StateStore::open(directory_ / "state.db"));
  TagRegistry tags_;
  testing::ManualClock clock_;
  testing::FakeRingLog log_;
  EventLoop loop_;
  Pipeline pipeline_{log_, tags_, clock_, BootId{}};
  buffer::SpaceReserve reserve_{"/nowhere/reserve"};
  LogKeeper keeper_{log_, loop_, clock_};
  Worker storage_{"storage"};
  DeadLetters letters_{{store_->dead_letters(), &log_, &pipeline_, &keeper_, &storage_, &loop_, &reserve_, &clock_},
                       {}};
};

TEST_F(DeadLettersTest, KeepsARecordBehindADurableGapRecord) {
  EXPECT_EQ(keep(refused(7)), "");
  EXPECT_THAT(log_.documents(Stream::events),
              ElementsAre(HasSubstr(R"({"event":"gap","stream":"readings","epoch":2,"first":7,"last":7,"count":1,)"
                                    R"("reason":"dead-letter","uplink":"lake")")));
  EXPECT_EQ(log_.durable(Stream::events), log_.end(Stream::events));
  EXPECT_EQ(letters_.of("lake"), (buffer::DeadLetterCount{1, 16, "422: no"}));
  EXPECT_EQ(letters_.of("cloud"), (buffer::DeadLetterCount{0, 0, ""}));
}

TEST_F(DeadLettersTest, KeepsNoMoreThanMayBeAndMoreWhenSomeAreDropped) {
  EXPECT_EQ(keep(refused(7), 2), "");
  EXPECT_EQ(keep(refused(8), 2), "");
  EXPECT_THAT(keep(refused(9), 2), HasSubstr("there are 2 dead letters of it already"));
  EXPECT_EQ(log_.documents(Stream::events).size(), 2U) << "nothing says that it is gone";
  EXPECT_EQ(drop_all(), 2U);
  EXPECT_EQ(keep(refused(9), 2), "");
}

TEST_F(DeadLettersTest, KeepsNothingThatTheLogCannotTellOf) {
  log_.refuse_with(ErrorCode::full);
  EXPECT_THAT(keep(refused(7)), HasSubstr("the log takes no records now"));
  log_.accept_again();
  EXPECT_EQ(keep(refused(7), 1), "") << "what failed does not count";
  log_.fail_syncs(true);
  EXPECT_THAT(keep(refused(8)), HasSubstr("the log cannot be synced"));
  EXPECT_EQ(letters_.of("lake").count, 1U);
}

TEST_F(DeadLettersTest, KeepsNoMoreBytesThanMayBe) {
  EXPECT_EQ(keep(refused(7), 10, 40), "");
  EXPECT_EQ(keep(refused(8), 10, 40), "");
  EXPECT_THAT(keep(refused(9), 10, 40), HasSubstr("more than the 40 bytes of dead_letters_size"));
  EXPECT_EQ(log_.documents(Stream::events).size(), 2U);
}

TEST_F(DeadLettersTest, TheSameLetterAgainCountsOnceAndHasOneGapRecord) {
  EXPECT_EQ(keep(refused(7), 1), "");
  auto again = refused(7);
  again.answer = "422: still not";
  EXPECT_EQ(keep(again, 1), "") << "though there is no room for another one";
  EXPECT_EQ(letters_.of("lake").count, 1U);
  EXPECT_EQ(letters_.of("lake").last_reason, "422: still not");
  EXPECT_EQ(log_.documents(Stream::events).size(), 1U);
}

TEST_F(DeadLettersTest, WhatCannotBeKeptHasOneGapRecordHoweverOftenItIsTried) {
  log_.fail_syncs(true);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(keep(refused(7)), HasSubstr("the log cannot be synced"));
  EXPECT_EQ(log_.documents(Stream::events).size(), 1U);
}

TEST_F(DeadLettersTest, WhatCannotBeKeptOfTwoLanesHasOneGapRecordEach) {
  log_.fail_syncs(true);
  for (int i = 0; i < 3; ++i) {
    for (const std::uint64_t sequence : {7U, 100U}) {
      EXPECT_THAT(keep(refused(sequence)), HasSubstr("the log cannot be synced"));
    }
  }
  EXPECT_EQ(log_.documents(Stream::events).size(), 2U);
}

// The storage thread is busy with something behind the answer.
TEST_F(DeadLettersTest, WhoWasAnsweredEndsOnTheThreadThatAnswers) {
  std::promise<void> begin;
  std::promise<void> end;
  auto asks = std::make_shared<int>();
  const std::weak_ptr<int> is_there = asks;
  storage_.post([begins = begin.get_future().share()] { begins.wait(); });
  letters_.list("lake", 0, 1, [this, asks = std::move(asks)](const auto&) { loop_.stop(); });
  storage_.post([ends = end.get_future().share()] { ends.wait(); });  // may begin after this test has ended
  begin.set_value();
  const auto give_up = loop_.make_timer();
  give_up->arm(5s, [this] { loop_.stop(); });
  loop_.run();
  EXPECT_TRUE(is_there.expired());
  end.set_value();
}

TEST_F(DeadLettersTest, RemovesWhatIsDeliveredAtLastAndNothingElse) {
  EXPECT_EQ(keep(refused(7)), "");
  const auto id = std::uint64_t{1};
  EXPECT_THAT(retry(4711, {}), HasSubstr("there is no dead letter 4711 of an uplink lake"));
  EXPECT_EQ(retry(id, fail(ErrorCode::link_down, "lake is down")), "lake is down");
  EXPECT_EQ(letters_.of("lake"), (buffer::DeadLetterCount{1, 16, "422: no"}));
  EXPECT_EQ(retry(id, fail(ErrorCode::give_up_item, "400: no, no")), "400: no, no");
  EXPECT_EQ(letters_.of("lake").last_reason, "400: no, no");
  EXPECT_EQ(retry(id, {}), "");
  EXPECT_EQ(letters_.of("lake").count, 0U);
}

TEST_F(DeadLettersTest, WhatIsDroppedWhileItIsOnItsWayDoesNotComeBack) {
  EXPECT_EQ(keep(refused(7)), "");
  std::function<void(const Result<void>&)> sent;
  std::optional<std::string> answer;
  const auto send = [&](const buffer::DeadLetter&, auto on_its_way) {
    sent = std::move(on_its_way);
    loop_.stop();
  };
  letters_.retry("lake", 1, send, [&](const Result<void>& result) {
    answer = result ? "" : result.error().message;
    loop_.stop();
  });
  loop_.run();
  ASSERT_TRUE(sent);
  EXPECT_EQ(drop_all(), 1U);
  sent(fail(ErrorCode::give_up_item, "422: still no"));
  run_until(answer);
  EXPECT_EQ(answer, "422: still no");
  EXPECT_EQ(letters_.of("lake").count, 0U);
  EXPECT_THAT(retry(1, {}), HasSubstr("there is no dead letter 1"));
}

TEST_F(DeadLettersTest, SendsALetterOnceThoughTwoAskForIt) {
  EXPECT_EQ(keep(refused(7)), "");
  std::function<void(const Result<void>&)> sent;
  std::vector<std::string> answers;
  const auto send = [&](const buffer::DeadLetter&, auto on_its_way) {
    EXPECT_FALSE(sent) << "twice";
    sent = std::move(on_its_way);
    loop_.stop();
  };
  const auto note = [&](const Result<void>& result) {
    answers.push_back(result ? "" : result.error().message);
    loop_.stop();
  };
  letters_.retry("lake", 1, send, note);
  letters_.retry("lake", 1, send, note);
  EXPECT_THAT(answers, ElementsAre(HasSubstr("dead letter 1 of lake is on its way already")));
  while (!sent) loop_.run();
  letters_.retry("lake", 1, send, note);
  EXPECT_EQ(answers.size(), 2U);
  sent = nullptr;  // as where the uplink is gone; and whoever asked is forgotten when what is under way is done
  EXPECT_EQ(keep(refused(8)), "");
  EXPECT_EQ(retry(1, {}), "");
}

TEST_F(DeadLettersTest, WritesNoGapRecordForAGapRecordOfItsOwn) {
  auto own = refused(7, Stream::events);
  own.record = R"({"seq":7,"event":"gap","stream":"readings","reason":"dead-letter","uplink":"lake"})";
  EXPECT_EQ(keep(own), "");
  EXPECT_THAT(log_.documents(Stream::events), IsEmpty());
  EXPECT_EQ(letters_.of("lake").count, 1U);
}

}  // namespace
}  // namespace tidegate::daemon
