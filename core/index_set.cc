#include "core/index_set.h"

#include <algorithm>
#include <bit>

namespace tidegate {
namespace {

constexpr std::size_t kWordBits = 64;
constexpr std::size_t kNone = ~std::size_t{0};

constexpr std::uint64_t bit_of(std::size_t index) { return std::uint64_t{1} << index % kWordBits; }

// The first bit not below `from`.
std::size_t next_bit(std::uint64_t word, std::size_t from) {
  const std::uint64_t left = word & (~std::uint64_t{0} << from);
  return left == 0 ? kNone : static_cast<std::size_t>(std::countr_zero(left));
}

}  // namespace

bool IndexSet::contains(std::size_t index) const {
  const std::size_t at = index / kWordBits;
  return at < words_.size() && (words_[at] & bit_of(index)) != 0;
}

bool IndexSet::insert(std::size_t index) {
  const std::size_t at = index / kWordBits;
  if (at >= words_.size()) grow(at + 1);
  std::uint64_t& word = words_[at];
  if ((word & bit_of(index)) != 0) return false;
  word |= bit_of(index);
  used_[at / kWordBits] |= bit_of(at);
  ++count_;
  return true;
}

bool IndexSet::erase(std::size_t index) {
  if (!contains(index)) return false;
  const std::size_t at = index / kWordBits;
  words_[at] &= ~bit_of(index);
  if (words_[at] == 0) used_[at / kWordBits] &= ~bit_of(at);
  --count_;
  return true;
}

void IndexSet::merge(const IndexSet& other, const IndexSet& without) {
  if (other.words_.size() > words_.size()) grow(other.words_.size());
  for (std::size_t i = 0; i < other.used_.size(); ++i) {
    for (std::size_t bit = next_bit(other.used_[i], 0); bit != kNone;
         bit = bit + 1 < kWordBits ? next_bit(other.used_[i], bit + 1) : kNone) {
      const std::size_t at = i * kWordBits + bit;
      const std::uint64_t left_out = at < without.words_.size() ? without.words_[at] : 0;
      put_word(at, words_[at] | (other.words_[at] & ~left_out));
    }
  }
}

void IndexSet::put_word(std::size_t at, std::uint64_t word) {
  if (word == words_[at]) return;
  count_ += static_cast<std::size_t>(std::popcount(word ^ words_[at]));  // bits only come
  words_[at] = word;
  used_[at / kWordBits] |= bit_of(at);
}

void IndexSet::clear() {
  if (count_ == 0) return;
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (used_[i] == 0) continue;
    const std::size_t first = i * kWordBits;
    const std::size_t last = std::min(first + kWordBits, words_.size());
    std::fill(words_.begin() + static_cast<std::ptrdiff_t>(first), words_.begin() + static_cast<std::ptrdiff_t>(last),
              0);
    used_[i] = 0;
  }
  count_ = 0;
}

void IndexSet::reset() { *this = IndexSet(); }

std::optional<std::size_t> IndexSet::next(std::size_t from) const {
  const std::size_t at = from / kWordBits;
  if (count_ == 0 || at >= words_.size()) return std::nullopt;
  if (const std::size_t bit = next_bit(words_[at], from % kWordBits); bit != kNone) return at * kWordBits + bit;
  for (std::size_t word = at + 1; word < words_.size();) {
    const std::size_t used = next_bit(used_[word / kWordBits], word % kWordBits);
    if (used == kNone) {
      word = (word / kWordBits + 1) * kWordBits;
      continue;
    }
    word = word / kWordBits * kWordBits + used;
    return word * kWordBits + static_cast<std::size_t>(std::countr_zero(words_[word]));
  }
  return std::nullopt;
}

void IndexSet::grow(std::size_t words) {
  words_.resize(std::max(words, words_.size()));
  used_.resize((words_.size() + kWordBits - 1) / kWordBits);
}

}  // namespace tidegate
