#include "uplink/backlog_window.h"

#include <algorithm>
#include <utility>

namespace tidegate::uplink {
namespace {

constexpr Duration kLearnsFirst = std::chrono::milliseconds(200);  // after the first batch

// How often it is learned how long a batch alone takes, so that the time when only one goes costs next to nothing.
constexpr Duration kLearnsEvery = std::chrono::seconds(10);
constexpr int kLearnsEveryAnswers = 50;

// So many small batches alone in a row, and that is what batches are by now.
constexpr unsigned kSmallMost = 3;

// What may wait somewhere.
constexpr double kWaitingLeast = 0.5;
constexpr double kWaitingMost = 1.5;

}  // namespace

void BacklogWindow::sent(std::uint64_t batch_id, std::size_t bytes, std::size_t together, BootTime now) {
  if (!learns_at_) learns_at_ = now + kLearnsFirst;
  if (!learns_ && now >= *learns_at_) {
    learns_ = true;
    bytes_most_ = 0;
    small_ = 0;
  }
  // Of some the answer is never heard, as where an earlier attempt was acknowledged.
  if (on_their_way_.size() >= most_) on_their_way_.erase(on_their_way_.begin());
  bytes_most_ = std::max(bytes_most_, bytes);
  on_their_way_.push_back({batch_id, bytes, now, together});
}

void BacklogWindow::acknowledged(std::uint64_t batch_id, BootTime now) {
  const auto at = std::find_if(on_their_way_.begin(), on_their_way_.end(),
                               [batch_id](const OnItsWay& one) { return one.id == batch_id; });
  if (at == on_their_way_.end()) return;
  const OnItsWay done = *at;
  on_their_way_.erase(at);
  const bool is_alone_and_learned_of = learns_ && done.together == 1 && ++small_ >= kSmallMost;
  if (is_alone_and_learned_of) bytes_most_ = done.bytes;
  if (done.bytes * 2 < bytes_most_) return;  // a small one says nothing of the others
  const Answer answer{std::max<Duration>(now - done.at, Duration(1)), done.together};
  if (learns_) return learn(answer, now);
  if (!has_learned_) return;
  alone_ = std::min(alone_, answer.time);
  if (!fastest_ || answer.time < fastest_->time) fastest_ = answer;
  if (++answers_ >= size_) adjust();
}

void BacklogWindow::learn(const Answer& answer, BootTime now) {
  if (answer.together > 1) return;
  alone_ = answer.time;
  learns_ = false;
  learns_at_ = now + std::max<Duration>(kLearnsEvery, kLearnsEveryAnswers * alone_);
  if (!std::exchange(has_learned_, true)) size_ = std::min<std::size_t>(2, most_);
  fastest_.reset();
  answers_ = 0;
}

// By the fastest answer of the round: what else holds answers up, as another process, is no queue of ours.
void BacklogWindow::adjust() {
  const double longer = 1 - static_cast<double>(alone_.count()) / static_cast<double>(fastest_->time.count());
  const double waiting = static_cast<double>(fastest_->together) * longer;
  // Nothing is known of a window that was not full, as behind a batch alone.
  if (waiting > kWaitingMost) size_ = std::max<std::size_t>(std::min(size_, fastest_->together) - 1, 1);
  if (waiting < kWaitingLeast && fastest_->together >= size_) size_ = std::min(size_ + 1, most_);
  fastest_.reset();
  answers_ = 0;
}

}  // namespace tidegate::uplink
