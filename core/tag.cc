#include "core/tag.h"

#include <array>
#include <atomic>
#include <cassert>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/text.h"

namespace tidegate {

// Tags lie in chunks that never move, so that tag() needs no lock: a thread that has an id got it from a call that
// happened after the tag was stored.
class TagRegistry::Impl {
 public:
  static constexpr std::size_t kChunkTags = 1024;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (auto& chunk : chunks_) delete[] chunk.load();
  }

  const Tag& at(TagId id) const {
    const auto index = static_cast<std::size_t>(id);
    assert(index < size_.load(std::memory_order_relaxed));
    return chunks_[index / kChunkTags].load(std::memory_order_acquire)[index % kChunkTags];
  }

  Result<TagId> claim(const Tag& wanted) {
    const std::lock_guard lock(mutex_);
    const auto found = ids_.find(wanted.path);
    if (found == ids_.end()) return add(wanted);
    Tag& tag = slot(static_cast<std::size_t>(found->second));
    if (tag.driver.empty()) {
      // The path stays the string that ids_ points into.
      tag.driver = wanted.driver;
      tag.type = wanted.type;
      tag.unit = wanted.unit;
      tag.deadband = wanted.deadband;
    } else if (tag.driver != wanted.driver) {
      return fail(ErrorCode::invalid, "tag \"" + wanted.path + "\" belongs to driver \"" + tag.driver +
                                          "\"; driver \"" + wanted.driver + "\" needs another name for it");
    }
    return found->second;
  }

  TagId intern(std::string_view path) {
    const std::lock_guard lock(mutex_);
    const auto found = ids_.find(path);
    if (found != ids_.end()) return found->second;
    Tag tag;
    tag.path = path;
    return add(tag).value_or(kNoTag);
  }

  std::optional<TagId> find(std::string_view path) const {
    const std::lock_guard lock(mutex_);
    const auto found = ids_.find(path);
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }

  std::size_t size() const { return size_.load(std::memory_order_acquire); }

 private:
  Tag& slot(std::size_t index) {
    return chunks_[index / kChunkTags].load(std::memory_order_relaxed)[index % kChunkTags];
  }

  Result<TagId> add(const Tag& tag) {
    const std::size_t index = size_.load(std::memory_order_relaxed);
    if (index >= kTagsMax) {
      return fail(ErrorCode::full, "tag \"" + tag.path + "\": there are " + std::to_string(kTagsMax) +
                                       " tags already, which is the most");
    }
    if (index % kChunkTags == 0) {
      chunks_[index / kChunkTags].store(new Tag[kChunkTags], std::memory_order_release);
    }
    Tag& place = slot(index);
    place = tag;
    const auto id = static_cast<TagId>(index);
    ids_.emplace(place.path, id);
    size_.store(index + 1, std::memory_order_release);
    return id;
  }

  mutable std::mutex mutex_;
  std::array<std::atomic<Tag*>, kTagsMax / kChunkTags> chunks_{};
  std::unordered_map<std::string_view, TagId> ids_;  // keys point into the tags
  std::atomic<std::size_t> size_{0};
};

TagRegistry::TagRegistry() : impl_(std::make_unique<Impl>()) {}
TagRegistry::~TagRegistry() = default;

Result<TagId> TagRegistry::claim(const Tag& tag) {
  if (auto valid = check_tag_path(tag.path); !valid) return tl::unexpected(valid.error());
  return impl_->claim(tag);
}
TagId TagRegistry::intern(std::string_view path) { return impl_->intern(path); }
std::optional<TagId> TagRegistry::find(std::string_view path) const { return impl_->find(path); }
const Tag& TagRegistry::tag(TagId id) const { return impl_->at(id); }
std::size_t TagRegistry::size() const { return impl_->size(); }

Result<void> check_tag_path(std::string_view path) {
  const auto refuse = [&](const char* why) {
    return fail(ErrorCode::invalid, "tag path \"" + clip(path) + "\": " + why);
  };
  if (path.empty() || path.size() > 255) return refuse("a path has 1 to 255 bytes");
  if (!is_valid_utf8(path)) return refuse("a path is valid UTF-8");
  if (has_control(path)) return refuse("a path has no control characters");
  for (const char c : path) {
    if (c == '+' || c == '#' || c == '*' || c == '?') return refuse("a path has none of + # * ?");
  }
  for (const auto part : split(path, '/')) {
    if (part.empty()) return refuse("the parts between slashes are not empty");
  }
  return {};
}

}  // namespace tidegate
