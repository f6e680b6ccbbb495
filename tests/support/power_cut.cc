// What InMemoryFileSystem does with content and names that are not durable.
#include <algorithm>
#include <map>

#include "tests/support/in_memory_file_system.h"

namespace tidegate::testing {
namespace {

enum class Kept : std::uint8_t { none, all, first, any };

std::size_t below(std::mt19937_64& random, std::size_t bound) { return static_cast<std::size_t>(random() % bound); }

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

}  // namespace

void InMemoryFileSystem::keep_name(const NameChange& change) {
  if (change.node) {
    durable_names_[change.from] = change.node;
    return;
  }
  const auto found = durable_names_.find(change.from);
  if (found == durable_names_.end()) return;
  if (change.exchanges) {
    const auto other = durable_names_.find(change.to);
    if (other != durable_names_.end()) std::swap(found->second, other->second);
    return;
  }
  if (!change.to.empty()) durable_names_[change.to] = found->second;
  durable_names_.erase(change.from);
}

Result<void> InMemoryFileSystem::check_use(const Node& node, const std::string& path) {
  if (!node.failed) return {};
  misuses_.push_back(path);
  return tidegate::fail(ErrorCode::invalid, path + ": used again after a sync had failed");
}

void InMemoryFileSystem::cut_node(Node& node, std::mt19937_64& random) {
  const auto kept = static_cast<Kept>(below(random, 4));
  const std::size_t old_size = node.synced.size();
  std::size_t size = node.content.size();
  const std::uint64_t size_kept = below(random, 3);
  if (size > old_size && size_kept == 0) size = old_size;
  if (size > old_size && size_kept == 1) size = old_size + below(random, size - old_size);
  std::vector<std::byte> left = node.synced;
  left.resize(size);
  std::size_t count = kept == Kept::none ? 0 : node.dirty.size();
  if (kept == Kept::first && count > 0) count = below(random, count + 1);
  const bool tears = below(random, 2) == 0;
  for (const std::size_t sector : node.dirty) {
    const bool last = count == 1;
    if (count == 0) break;
    --count;
    if (kept == Kept::any && below(random, 2) == 0) continue;
    const std::size_t begin = sector * kSectorBytes;
    if (begin >= size) break;
    std::size_t bytes = std::min(kSectorBytes, size - begin);
    if (tears && (last || below(random, 8) == 0)) bytes = below(random, bytes);
    std::copy_n(node.content.data() + begin, bytes, left.data() + begin);
  }
  node.content = node.synced = std::move(left);
  node.dirty.clear();
  node.failed = false;
}

void InMemoryFileSystem::power_cut(std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 random(seed);
  std::map<std::string, std::size_t> changes;  // by directory; then how many are kept
  for (const NameChange& change : name_changes_) ++changes[directory_of(change.from)];
  for (auto& [directory, count] : changes) count = static_cast<std::size_t>(below(random, count + 1));
  for (const NameChange& change : name_changes_) {
    std::size_t& left = changes[directory_of(change.from)];
    if (left == 0) continue;
    --left;
    keep_name(change);
  }
  name_changes_.clear();
  files_ = durable_names_;
  for (auto& [path, node] : files_) cut_node(*node, random);
}

void InMemoryFileSystem::lose_unsynced() {
  const std::lock_guard lock(mutex_);
  name_changes_.clear();
  files_ = durable_names_;
  for (auto& [path, node] : files_) {
    node->content = node->synced;
    node->dirty.clear();
    node->failed = false;
  }
}

void InMemoryFileSystem::fail_any(std::size_t skip, std::size_t times, ErrorCode code) {
  const std::lock_guard lock(mutex_);
  failure_of_any_ = Failure{skip, times, code, ""};
}

void InMemoryFileSystem::halt_after(std::size_t skip) {
  fail_any(skip, SIZE_MAX, ErrorCode::retry);
  const std::lock_guard lock(mutex_);
  halts_ = true;
}

std::size_t InMemoryFileSystem::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

std::vector<std::string> InMemoryFileSystem::misuses() const {
  const std::lock_guard lock(mutex_);
  return misuses_;
}

void InMemoryFileSystem::begin_process() {
  const std::lock_guard lock(mutex_);
  for (auto& [path, node] : files_) node->failed = false;
}

}  // namespace tidegate::testing
