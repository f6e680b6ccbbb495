#include "uplink/taken_batches.h"

#include <utility>

#include "uplink/json_text.h"

namespace tidegate::uplink {

std::string tag_of(std::string_view entry) { return find_text_member(entry, "tag").value_or(""); }

namespace {

// The list's place of it, the counted pointer, and what the allocator has around these.
constexpr std::size_t kBytesBeside = 128;

std::size_t bytes_of(const std::string& message) { return message.size() + kBytesBeside; }

}  // namespace

void TakenBatches::add(std::shared_ptr<const std::string> message, std::uint32_t epoch) {
  ++count_;
  bytes_ += bytes_of(*message);
  batches_.push_back({std::move(message), epoch});
  for (; batches_.size() > 2 && bytes_ > bytes_most(); batches_.pop_front()) {
    bytes_ -= bytes_of(*batches_.front().message);
  }
}

void TakenBatches::clear() {
  batches_.clear();
  bytes_ = 0;
  refused_.clear();
}

void TakenBatches::note_refused(const std::string& tag, Position at) {
  const auto [last, is_new] = refused_.try_emplace(tag, at, at);
  if (!is_new && last->second.second != at) last->second = {last->second.second, at};
}

void TakenBatches::forget_refused(const std::string& tag, Position at) {
  const auto last = refused_.find(tag);
  if (last == refused_.end()) return;
  auto& [first, second] = last->second;
  if (first == at) first = second;
  if (second == at) second = first;
  if (first == at) refused_.erase(last);
}

bool TakenBatches::has_refused_beside(const std::string& tag, Position at) const {
  const auto last = refused_.find(tag);
  return last != refused_.end() && last->second != std::pair(at, at);
}

// The views do not outlive the visit.
template <class IsWanted>
std::optional<TakenBatches::Record> TakenBatches::find_newest(IsWanted is_wanted) const {
  for (auto batch = batches_.rbegin(); batch != batches_.rend(); ++batch) {
    Record found{{}, batch->epoch};
    const auto read = for_each_entry(*batch->message, stream_, [&](std::string_view entry) {
      if (is_wanted(entry)) found.entry = entry;
    });
    if (read && !found.entry.empty()) return found;
  }
  return std::nullopt;
}

std::optional<TakenBatches::Record> TakenBatches::newest() const {
  return find_newest([](std::string_view) { return true; });
}

std::optional<TakenBatches::Record> TakenBatches::newest_of(const std::string& tag) const {
  TextMemberFinder finder;
  return find_newest([&](std::string_view entry) { return finder.find(entry, "tag").value_or("") == tag; });
}

}  // namespace tidegate::uplink
