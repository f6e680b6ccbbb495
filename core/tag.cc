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
// happened after the tag was stored. What a tag becomes later lies behind the first of its slot, and nothing of that is
// ever destroyed before the registry: somebody may have a reference.
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
    const Slot& slot = chunks_[index / kChunkTags].load(std::memory_order_acquire)[index % kChunkTags];
    const Tag* const now = slot.now.load(std::memory_order_acquire);
    return now != nullptr ? *now : slot.first;
  }

  Result<TagId> claim(const Tag& wanted) {
    const std::lock_guard lock(mutex_);
    const auto found = ids_.find(wanted.path);
    if (found == ids_.end()) return add(wanted);
    Slot& place = slot(static_cast<std::size_t>(found->second));
    const Tag& tag = at(found->second);
    if (tag.driver.empty() && &tag == &place.first) {
      // The path stays the string that ids_ points into.
      place.first.driver = wanted.driver;
      place.first.type = wanted.type;
      place.first.unit = wanted.unit;
      place.first.deadband = wanted.deadband;
      place.is_free = false;
    } else if (place.is_free) {
      become(place, wanted);
    } else if (tag.driver != wanted.driver) {
      return fail(ErrorCode::invalid, "tag \"" + wanted.path + "\" belongs to driver \"" + tag.driver +
                                          "\"; driver \"" + wanted.driver + "\" needs another name for it");
    }
    return found->second;
  }

  void disown(std::string_view driver) {
    const std::lock_guard lock(mutex_);
    const std::size_t count = size_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < count; ++i) {
      if (at(static_cast<TagId>(i)).driver == driver) slot(i).is_free = true;
    }
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
  struct Slot {
    Tag first;
    std::atomic<const Tag*> now{nullptr};  // null: the first
    bool is_free = false;                  // its driver is gone
    std::vector<std::unique_ptr<const Tag>> later;
  };

  static bool is_same(const Tag& one, const Tag& other) {
    return one.driver == other.driver && one.type == other.type && one.unit == other.unit &&
           one.deadband == other.deadband;
  }

  // Settings that come and go make no more of these than there are of them.
  static void become(Slot& place, const Tag& wanted) {
    place.is_free = false;
    if (is_same(place.first, wanted)) return place.now.store(nullptr, std::memory_order_release);
    for (const auto& tag : place.later) {
      if (is_same(*tag, wanted)) return place.now.store(tag.get(), std::memory_order_release);
    }
    place.later.push_back(std::make_unique<const Tag>(wanted));
    place.now.store(place.later.back().get(), std::memory_order_release);
  }

  Slot& slot(std::size_t index) {
    return chunks_[index / kChunkTags].load(std::memory_order_relaxed)[index % kChunkTags];
  }

  Result<TagId> add(const Tag& tag) {
    const std::size_t index = size_.load(std::memory_order_relaxed);
    if (index >= kTagsMax) {
      return fail(ErrorCode::full, "tag \"" + tag.path + "\": there are " + std::to_string(kTagsMax) +
                                       " tags already, which is the most");
    }
    if (index % kChunkTags == 0) {
      chunks_[index / kChunkTags].store(new Slot[kChunkTags], std::memory_order_release);
    }
    Slot& place = slot(index);
    place.first = tag;
    const auto id = static_cast<TagId>(index);
    ids_.emplace(place.first.path, id);
    size_.store(index + 1, std::memory_order_release);
    return id;
  }

  mutable std::mutex mutex_;
  std::array<std::atomic<Slot*>, kTagsMax / kChunkTags> chunks_{};
  std::unordered_map<std::string_view, TagId> ids_;  // keys point into the tags
  std::atomic<std::size_t> size_{0};
};

TagRegistry::TagRegistry() : impl_(std::make_unique<Impl>()) {}
TagRegistry::~TagRegistry() = default;

Result<TagId> TagRegistry::claim(const Tag& tag) {
  if (auto valid = check_tag_path(tag.path); !valid) return tl::unexpected(valid.error());
  return impl_->claim(tag);
}
void TagRegistry::disown(std::string_view driver) { impl_->disown(driver); }
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
