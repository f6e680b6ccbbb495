#include "tests/support/in_memory_file_system.h"

#include <algorithm>

namespace tidegate::testing {
namespace {

constexpr std::size_t kSectorBytes = InMemoryFileSystem::kSectorBytes;

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

class InMemoryFileSystem::OpenFile final : public File {
 public:
  OpenFile(InMemoryFileSystem& system, std::string path, std::shared_ptr<Node> node, bool writable)
      : system_(system), path_(std::move(path)), node_(std::move(node)), writable_(writable) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    const std::lock_guard lock(system_.mutex_);
    if (auto step = system_.step(Operation::read, path_); !step) return tl::unexpected(step.error());
    if (offset >= node_->content.size()) return std::size_t{0};
    const std::size_t count = std::min(into.size(), node_->content.size() - static_cast<std::size_t>(offset));
    std::copy_n(node_->content.begin() + static_cast<std::ptrdiff_t>(offset), count, into.begin());
    return count;
  }

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    const std::lock_guard lock(system_.mutex_);
    if (!writable_) return tidegate::fail(ErrorCode::invalid, path_ + ": opened for reading");
    if (auto step = system_.step(Operation::write, path_); !step) return step;
    if (data.empty()) return {};
    if (auto fits = check_size(offset + data.size()); !fits) return fits;
    const auto begin = static_cast<std::size_t>(offset);
    grow(begin + data.size());
    mark(begin, begin + data.size());
    std::copy(data.begin(), data.end(), node_->content.begin() + static_cast<std::ptrdiff_t>(begin));
    return {};
  }

  Result<void> sync() override {
    const std::lock_guard lock(system_.mutex_);
    if (auto use = system_.check_use(*node_, path_); !use) return use;
    if (auto step = system_.step(Operation::sync, path_); !step) {
      if (system_.halts_) return step;  // nothing will be synced again
      node_->failed = true;
      node_->dirty.clear();
      return step;
    }
    node_->synced.resize(node_->content.size());
    for (const std::size_t sector : node_->dirty) {
      const std::size_t begin = sector * kSectorBytes;
      const std::size_t count = std::min(kSectorBytes, node_->content.size() - begin);
      std::copy_n(node_->content.data() + begin, count, node_->synced.data() + begin);
    }
    node_->dirty.clear();
    return {};
  }

  Result<void> reserve(std::uint64_t bytes) override {
    const std::lock_guard lock(system_.mutex_);
    if (node_->content.size() >= bytes) return {};
    if (auto step = system_.step(Operation::reserve, path_); !step) return step;
    if (auto use = system_.check_use(*node_, path_); !use) return use;
    if (auto fits = check_size(bytes); !fits) return fits;
    grow(static_cast<std::size_t>(bytes));
    return {};
  }

  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(system_.mutex_);
    return std::uint64_t{node_->content.size()};
  }

 private:
  Result<void> check_size(std::uint64_t bytes) const {
    if (bytes <= system_.file_bytes_max_) return {};
    return tidegate::fail(ErrorCode::full, path_ + ": no file may be larger here");
  }
  void grow(std::size_t size) {
    const std::size_t before = node_->content.size();
    if (size <= before) return;
    node_->content.resize(size);
    mark(before, size);
  }
  void mark(std::size_t begin, std::size_t end) {
    for (std::size_t sector = begin / kSectorBytes; sector * kSectorBytes < end; ++sector) node_->dirty.insert(sector);
  }

  InMemoryFileSystem& system_;
  std::string path_;
  std::shared_ptr<Node> node_;
  bool writable_;
};

Result<void> InMemoryFileSystem::step(Operation operation, const std::string& path) {
  ++counts_[operation];
  ++operations_;
  if (failure_of_any_) {
    Failure& any = *failure_of_any_;
    if (any.skip > 0) {
      --any.skip;
    } else if (any.times > 0) {
      --any.times;
      return tidegate::fail(any.code, path + ": injected failure");
    }
  }
  const auto failure = failures_.find(operation);
  if (failure == failures_.end() || path.find(failure->second.part) == std::string::npos) return {};
  if (failure->second.skip > 0) {
    --failure->second.skip;
    return {};
  }
  if (failure->second.times == 0) return {};
  --failure->second.times;
  return tidegate::fail(failure->second.code, path + ": injected failure");
}

Result<std::unique_ptr<File>> InMemoryFileSystem::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::open, path); !allowed) return tl::unexpected(allowed.error());
  auto found = files_.find(path);
  if (mode == OpenMode::create) {
    if (found != files_.end() || directories_.contains(path)) {
      return tidegate::fail(ErrorCode::invalid, path + ": exists");
    }
    if (!directories_.contains(parent_of(path)))
      return tidegate::fail(ErrorCode::not_found, path + ": no such directory");
    found = files_.emplace(path, std::make_shared<Node>()).first;
    name_changes_.push_back({path, "", found->second, false});
  }
  if (found == files_.end()) return tidegate::fail(ErrorCode::not_found, path + ": no such file");
  return std::make_unique<OpenFile>(*this, path, found->second, mode != OpenMode::read);
}

Result<void> InMemoryFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::rename, from); !allowed) return allowed;
  const auto found = files_.find(from);
  if (found == files_.end()) return tidegate::fail(ErrorCode::not_found, from + ": no such file");
  files_[to] = found->second;
  files_.erase(from);
  name_changes_.push_back({from, to, nullptr, false});
  return {};
}

Result<void> InMemoryFileSystem::exchange(const std::string& one, const std::string& other) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::exchange, one); !allowed) return allowed;
  const auto first = files_.find(one);
  const auto second = files_.find(other);
  if (first == files_.end() || second == files_.end()) {
    return tidegate::fail(ErrorCode::not_found, one + " or " + other + ": no such file");
  }
  std::swap(first->second, second->second);
  name_changes_.push_back({one, other, nullptr, true});
  return {};
}

Result<void> InMemoryFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::remove, path); !allowed) return allowed;
  if (files_.erase(path) == 0) return tidegate::fail(ErrorCode::not_found, path + ": no such file");
  name_changes_.push_back({path, "", nullptr, false});
  return {};
}

Result<std::vector<std::string>> InMemoryFileSystem::list(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  if (!directories_.contains(directory)) return tidegate::fail(ErrorCode::not_found, directory + ": no such directory");
  std::vector<std::string> names;
  for (const auto& [path, node] : files_) {
    if (parent_of(path) == directory) names.push_back(path.substr(path.rfind('/') + 1));
  }
  return names;
}

Result<void> InMemoryFileSystem::make_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (files_.contains(path)) return tidegate::fail(ErrorCode::invalid, path + ": not a directory");
  if (!directories_.contains(parent_of(path)))
    return tidegate::fail(ErrorCode::not_found, path + ": no such directory");
  directories_.insert(path);
  return {};
}

Result<void> InMemoryFileSystem::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::sync_directory, path); !allowed) return allowed;
  // What came before in a directory is durable with what comes later in it.
  std::set<std::string> directories{path};
  std::vector<NameChange> kept;
  for (std::size_t i = name_changes_.size(); i-- > 0;) {
    const NameChange& change = name_changes_[i];
    const bool touches = directories.contains(parent_of(change.from)) ||
                         (!change.to.empty() && directories.contains(parent_of(change.to)));
    if (!touches) continue;
    directories.insert(parent_of(change.from));
    kept.push_back(change);
    name_changes_.erase(name_changes_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (std::size_t i = kept.size(); i-- > 0;) keep_name(kept[i]);
  return {};
}

void InMemoryFileSystem::fail(Operation operation, std::size_t skip, std::size_t times, ErrorCode code,
                              std::string part) {
  const std::lock_guard lock(mutex_);
  failures_[operation] = {skip, times, code, std::move(part)};
}

void InMemoryFileSystem::limit_files(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  file_bytes_max_ = bytes;
}

void InMemoryFileSystem::fail_never() {
  const std::lock_guard lock(mutex_);
  failures_.clear();
  failure_of_any_.reset();
  halts_ = false;
}

std::size_t InMemoryFileSystem::count(Operation operation) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(operation);
  return found == counts_.end() ? 0 : found->second;
}

void InMemoryFileSystem::wipe() {
  const std::lock_guard lock(mutex_);
  files_.clear();
  durable_names_.clear();
  name_changes_.clear();
  misuses_.clear();
  failure_of_any_.reset();
  file_bytes_max_ = SIZE_MAX;
  halts_ = false;
  operations_ = 0;
  directories_ = {"."};
  failures_.clear();
  counts_.clear();
}

std::vector<std::string> InMemoryFileSystem::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, node] : files_) paths.push_back(path);
  return paths;
}

std::vector<std::byte> InMemoryFileSystem::content(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return files_.at(path)->content;
}

void InMemoryFileSystem::set_content(const std::string& path, std::vector<std::byte> content) {
  const std::lock_guard lock(mutex_);
  auto& node = files_[path];
  if (!node) node = std::make_shared<Node>();
  node->content = node->synced = std::move(content);
  node->dirty.clear();
  std::erase_if(name_changes_, [&](const NameChange& change) { return change.from == path || change.to == path; });
  durable_names_[path] = node;
}

void InMemoryFileSystem::flip_bit(const std::string& path, std::uint64_t bit) {
  const std::lock_guard lock(mutex_);
  std::byte& byte = files_.at(path)->content.at(static_cast<std::size_t>(bit / 8));
  byte ^= static_cast<std::byte>(1U << (bit % 8));
}

}  // namespace tidegate::testing
