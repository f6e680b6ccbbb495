#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "buffer/bytes.h"
#include "core/tag.h"

namespace tidegate::buffer {

/// Numbers that a section can give out: as many as there are tags in a process.
inline constexpr std::uint32_t kSectionTagsMax = std::uint32_t{TagRegistry::kTagsMax};

/// The writer's tag numbers of one section: 0, 1, 2 ... in the order of first use.
///
/// A tag's path is stored in the frame that first uses it, again in the next frame, and again in the first frame that
/// begins in a later 4 KiB block; so neither a damaged frame nor a lost block costs frames that it did not touch.
class TagDictionary {
 public:
  TagDictionary();

  /// Begins a section: no tag has a number.
  void restart();
  bool has(TagId tag) const;
  /// The tag's number, given now if it has none.
  std::uint32_t number_of(TagId tag);
  /// Tags by number. Grows, and is left alone by restart(), so that frames in memory can share it.
  std::shared_ptr<const std::vector<TagId>> tags() const { return tags_; }
  std::size_t size() const { return tags_->size(); }

  /// Chooses which paths the next frame, which begins in `block`, repeats; at most `bytes_max` of them.
  void begin_frame(std::uint64_t block, const TagRegistry& registry, std::size_t bytes_max);
  std::size_t repeated_bytes() const { return repeated_bytes_; }
  /// Writes the repeated paths and those that got a number since begin_frame.
  void put(OutBuffer& out, const TagRegistry& registry);
  /// Bytes that naming all tags took so far.
  std::size_t path_bytes() const { return path_bytes_; }
  /// The frame was built and its last byte lies in `block`.
  void end_frame(std::uint64_t block);

 private:
  struct Range {
    std::uint32_t first = 0;
    std::uint32_t end = 0;
    bool empty() const { return first >= end; }
  };
  struct Unsettled {
    Range range;
    std::uint64_t block = 0;  // where the frame that stored it ends
  };
  struct Slot {
    std::uint32_t section = 0;
    std::uint32_t number = 0;
  };

  Range take_settled(std::uint64_t block, const TagRegistry& registry, std::size_t bytes_max);
  bool add_bytes(Range range, const TagRegistry& registry, std::size_t bytes_max);
  void put_range(OutBuffer& out, Range range, const TagRegistry& registry) const;

  std::shared_ptr<std::vector<TagId>> tags_;
  std::vector<Slot> slots_;  // by TagId
  std::uint32_t section_ = 0;
  std::deque<Unsettled> unsettled_;  // stored, not yet repeated in a later block
  Range previous_;                   // first stored by the frame before
  Range repeat_settled_;
  Range repeat_previous_;
  std::size_t repeated_bytes_ = 0;
  std::size_t path_bytes_ = 0;
  std::uint32_t frame_first_ = 0;  // numbers from here on are new in this frame
};

/// The reader's view: tag of this process by the section's number; kNoTag where the path has not been seen.
class SectionTags {
 public:
  explicit SectionTags(TagRegistry& registry) : registry_(&registry) {}
  void restart() { tags_.clear(); }
  std::span<const TagId> tags() const { return tags_; }
  TagRegistry& registry() { return *registry_; }
  /// Takes the dictionary part of a frame body. False when it is malformed.
  bool take(ByteReader& reader);

 private:
  TagRegistry* registry_;
  std::vector<TagId> tags_;
};

/// Leaves `reader` behind the dictionary part.
bool skip_dictionary(ByteReader& reader);

}  // namespace tidegate::buffer
