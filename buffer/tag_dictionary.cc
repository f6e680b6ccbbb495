#include "buffer/tag_dictionary.h"

#include <algorithm>

namespace tidegate::buffer {
namespace {

constexpr std::size_t kPathLengthBytes = 2;  // paths have at most 255 bytes

template <class OnPath>
bool read_dictionary(ByteReader& reader, OnPath on_path) {
  const std::uint64_t ranges = reader.varint();
  for (std::uint64_t range = 0; range < ranges && reader.ok(); ++range) {
    const std::uint64_t first = reader.varint();
    const std::uint64_t count = reader.varint();
    if (first > kSectionTagsMax || count > kSectionTagsMax - first) reader.fail();
    for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
      const ByteSpan path = reader.bytes(reader.varint());
      if (reader.ok()) on_path(static_cast<std::uint32_t>(first + i), path);
    }
  }
  return reader.ok();
}

}  // namespace

TagDictionary::TagDictionary() { restart(); }

void TagDictionary::restart() {
  tags_ = std::make_shared<std::vector<TagId>>();
  unsettled_.clear();
  previous_ = repeat_settled_ = repeat_previous_ = {};
  repeated_bytes_ = path_bytes_ = 0;
  frame_first_ = 0;
  if (++section_ == 0) {
    std::fill(slots_.begin(), slots_.end(), Slot{});
    section_ = 1;
  }
}

bool TagDictionary::has(TagId tag) const {
  const auto index = static_cast<std::size_t>(tag);
  return index < slots_.size() && slots_[index].section == section_;
}

std::uint32_t TagDictionary::number_of(TagId tag) {
  const auto index = static_cast<std::size_t>(tag);
  if (index >= slots_.size()) slots_.resize(std::max(index + 1, slots_.size() * 2));
  Slot& slot = slots_[index];
  if (slot.section != section_) {
    slot = {section_, static_cast<std::uint32_t>(tags_->size())};
    tags_->push_back(tag);
  }
  return slot.number;
}

bool TagDictionary::add_bytes(Range range, const TagRegistry& registry, std::size_t bytes_max) {
  std::size_t bytes = 0;
  for (std::uint32_t i = range.first; i < range.end; ++i) {
    bytes += kPathLengthBytes + registry.tag((*tags_)[i]).path.size();
    if (repeated_bytes_ + bytes > bytes_max) return false;
  }
  repeated_bytes_ += bytes;
  return true;
}

TagDictionary::Range TagDictionary::take_settled(std::uint64_t block, const TagRegistry& registry,
                                                 std::size_t bytes_max) {
  Range taken;
  while (!unsettled_.empty() && unsettled_.front().block < block) {
    const Range range = unsettled_.front().range;
    if (!add_bytes(range, registry, bytes_max)) break;  // the next frame repeats the rest
    if (taken.empty()) taken.first = range.first;
    taken.end = range.end;
    unsettled_.pop_front();
  }
  return taken;
}

void TagDictionary::begin_frame(std::uint64_t block, const TagRegistry& registry, std::size_t bytes_max) {
  repeated_bytes_ = 0;
  frame_first_ = static_cast<std::uint32_t>(tags_->size());
  repeat_settled_ = take_settled(block, registry, bytes_max);
  const bool settled_now = !previous_.empty() && repeat_settled_.end >= previous_.end;
  repeat_previous_ = {};
  if (!settled_now && add_bytes(previous_, registry, bytes_max)) repeat_previous_ = previous_;
}

void TagDictionary::put_range(OutBuffer& out, Range range, const TagRegistry& registry) const {
  if (range.empty()) return;
  out.put_varint(range.first);
  out.put_varint(range.end - range.first);
  for (std::uint32_t i = range.first; i < range.end; ++i) {
    const std::string& path = registry.tag((*tags_)[i]).path;
    out.put_varint(path.size());
    out.put_bytes(as_bytes(path));
  }
}

void TagDictionary::put(OutBuffer& out, const TagRegistry& registry) {
  const Range added{frame_first_, static_cast<std::uint32_t>(tags_->size())};
  const auto count = [](Range range) { return range.empty() ? 0U : 1U; };
  out.put_varint(count(repeat_settled_) + count(repeat_previous_) + count(added));
  put_range(out, repeat_settled_, registry);
  put_range(out, repeat_previous_, registry);
  const std::size_t before = out.size();
  put_range(out, added, registry);
  path_bytes_ += out.size() - before;
}

void TagDictionary::end_frame(std::uint64_t block) {
  previous_ = {frame_first_, static_cast<std::uint32_t>(tags_->size())};
  if (!previous_.empty()) unsettled_.push_back({previous_, block});
}

bool SectionTags::take(ByteReader& reader) {
  return read_dictionary(reader, [this](std::uint32_t number, ByteSpan path) {
    if (number >= tags_.size()) tags_.resize(std::size_t{number} + 1, kNoTag);
    if (tags_[number] != kNoTag) return;
    tags_[number] = registry_->intern({reinterpret_cast<const char*>(path.data()), path.size()});
  });
}

bool skip_dictionary(ByteReader& reader) {
  return read_dictionary(reader, [](std::uint32_t, ByteSpan) {});
}

}  // namespace tidegate::buffer
