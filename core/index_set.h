#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tidegate {

/// A set of small numbers, a bit each, that grows with the largest of them. A second bit for each 64 says where to
/// look, so that what is done with few numbers costs by them and not by the largest. One thread.
class IndexSet {
 public:
  bool contains(std::size_t index) const;
  /// False when it is in there already.
  bool insert(std::size_t index);
  /// False when it is not in there.
  bool erase(std::size_t index);
  /// Takes in what is in `other` and not in `without`.
  void merge(const IndexSet& other, const IndexSet& without);
  /// Keeps its room.
  void clear();
  /// Gives the room away too.
  void reset();

  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  /// The first that is not less than `from`.
  std::optional<std::size_t> next(std::size_t from) const;

 private:
  void grow(std::size_t words);
  void put_word(std::size_t at, std::uint64_t word);

  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> used_;  // a bit for each word that is not 0
  std::size_t count_ = 0;
};

}  // namespace tidegate
