// Order at a target that takes what it is sent in order, and refuses some of it: one of MQTT 5.
#include <deque>
#include <random>

#include "tests/uplink/forwarder_fixture.h"

namespace tidegate::uplink::testing {
namespace {

class ForwarderOrderTest : public ForwarderFixture {
 protected:
  ForwarderOrderTest() { options_.keeps_order = true; }
};

TEST_F(ForwarderOrderTest, SendsAgainWhatWasTakenBehindARefusedBatch) {
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 39));
  const auto sent = send_all();
  ASSERT_EQ(stretches(sent), "0..9 10..19 20..29 30..39");
  acknowledge(sent[0]);
  fail(sent[1]);
  acknowledge(sent[2]);
  acknowledge(sent[3]);
  EXPECT_EQ(cursor().acked_to.sequence, 10U);
  const auto again = send_all_later();
  ASSERT_EQ(stretches(again), "10..19") << "the others wait for it, as they would be too early once more";
  acknowledge(sent[2]);
  acknowledge(again[0]);
  EXPECT_EQ(cursor().acked_to.sequence, 20U);
  const auto behind = send_all();
  ASSERT_EQ(stretches(behind), "20..29 30..39");
  for (const OutgoingBatch& batch : behind) acknowledge(batch);
  EXPECT_EQ(cursor().acked_to.sequence, 40U);
}

TEST_F(ForwarderOrderTest, TakesTheWordOfATargetWithoutOrderForEachBatch) {
  options_.keeps_order = false;
  begin_at({1, 0});
  link_up();
  supply_all(readings(1, 0, 29));
  const auto sent = send_all();
  fail(sent[0]);
  acknowledge(sent[1]);
  acknowledge(sent[2]);
  EXPECT_EQ(stretches(send_all_later()), "0..9");
}

/// A target that answers in order, and refuses what it will, with a receiver behind it that lets go what does not begin
/// where the batch before ended, as one may who is promised order.
class RefusingTarget {
 public:
  struct Answer {
    OutgoingBatch batch;
    bool ok = true;
    BatchFailure how{};
  };

  explicit RefusingTarget(std::uint64_t seed) : random_(seed) {}

  void send(const OutgoingBatch& batch) { wire_.push_back(batch); }
  void take_one() {
    if (wire_.empty()) return;
    const OutgoingBatch batch = wire_.front();
    wire_.pop_front();
    Answer answer{batch};
    answer.ok = is_mended_ || below(5) != 0;
    answer.how.too_large = below(4) == 0;
    if (answer.ok && batch.from <= next_) next_ = std::max(next_, batch.to + 1);
    answers_.push_back(std::move(answer));
  }
  std::optional<Answer> answer() {
    if (answers_.empty()) return std::nullopt;
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  void lose_link() {
    wire_.clear();
    answers_.clear();
  }
  void mend() { is_mended_ = true; }
  std::uint64_t next() const { return next_; }
  std::uint32_t below(std::uint32_t n) { return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random_); }

 private:
  std::mt19937_64 random_;
  std::deque<OutgoingBatch> wire_;
  std::deque<Answer> answers_;
  std::uint64_t next_ = 0;
  bool is_mended_ = false;
};

class ForwarderOrderModelTest : public ForwarderFixture {
 protected:
  static constexpr std::uint64_t kReadings = 120;

  /// How far a receiver is that follows the chain, when the forwarder says that all is delivered.
  std::uint64_t run(std::uint64_t seed) {
    begin_at({1, 0});
    RefusingTarget target(seed);
    link_up();
    const RecordBatch all = readings(1, 0, kReadings - 1);
    forwarder_->announce(Stream::readings, all.end());
    for (int step = 0; step < 20'000 && cursor().acked_to.sequence < kReadings; ++step) {
      if (step > 300) target.mend();
      do_something(target, all);
    }
    EXPECT_EQ(cursor().acked_to.sequence, kReadings) << "not drained, seed " << seed;
    return target.next();
  }

 private:
  void do_something(RefusingTarget& target, const RecordBatch& all) {
    switch (target.below(8)) {
      case 0:
        return pass(std::chrono::seconds(1 + target.below(90)));
      case 1:
        if (target.below(8) != 0) return;
        target.lose_link();
        link_down();
        return link_up();
      case 2:
      case 3:
        if (forwarder_->demand()) forwarder_->supply(all, now_);
        if (const auto batch = send()) target.send(*batch);
        return;
      case 4:
      case 5:
        return target.take_one();
      default:
        if (const auto answer = target.answer()) {
          if (answer->ok) return acknowledge(answer->batch);
          forwarder_->failed(answer->batch.id, now_, answer->how);
        }
    }
  }
};

TEST_F(ForwarderOrderModelTest, AReceiverThatFollowsTheChainHasAll) {
  options_.keeps_order = true;
  for (std::uint64_t seed = 1; seed <= 2'000; ++seed) {
    ASSERT_EQ(run(seed), kReadings) << "seed " << seed;
  }
}

TEST_F(ForwarderOrderModelTest, WithoutOrderItWouldNot) {
  int short_of_all = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    if (run(seed) < kReadings) ++short_of_all;
  }
  EXPECT_GT(short_of_all, 0);
}

}  // namespace
}  // namespace tidegate::uplink::testing
