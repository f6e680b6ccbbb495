#include "tests/support/in_memory_file_system.h"

#include <algorithm>

namespace tidegate::testing {
namespace {

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
    const auto begin = static_cast<std::size_t>(offset);
    if (node_->content.size() < begin + data.size()) node_->content.resize(begin + data.size());
    std::copy(data.begin(), data.end(), node_->content.begin() + static_cast<std::ptrdiff_t>(begin));
    return {};
  }

  Result<void> sync() override {
    const std::lock_guard lock(system_.mutex_);
    if (failed_) return tidegate::fail(ErrorCode::invalid, path_ + ": synced again after a sync had failed");
    if (auto step = system_.step(Operation::sync, path_); !step) {
      failed_ = true;
      return step;
    }
    node_->synced = node_->content;
    return {};
  }

  Result<void> reserve(std::uint64_t bytes) override {
    const std::lock_guard lock(system_.mutex_);
    if (node_->content.size() >= bytes) return {};
    if (auto step = system_.step(Operation::reserve, path_); !step) return step;
    node_->content.resize(static_cast<std::size_t>(bytes));
    return {};
  }

  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(system_.mutex_);
    return std::uint64_t{node_->content.size()};
  }

 private:
  InMemoryFileSystem& system_;
  std::string path_;
  std::shared_ptr<Node> node_;
  bool writable_;
  bool failed_ = false;
};

Result<void> InMemoryFileSystem::step(Operation operation, const std::string& path) {
  ++counts_[operation];
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
      return tidegate::fail(ErrorCode::invalid, path + ": no such directory");
    found = files_.emplace(path, std::make_shared<Node>()).first;
    changes_[parent_of(path)].push_back({{path, found->second}});
  }
  if (found == files_.end()) return tidegate::fail(ErrorCode::invalid, path + ": no such file");
  return std::make_unique<OpenFile>(*this, path, found->second, mode != OpenMode::read);
}

Result<void> InMemoryFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::rename, from); !allowed) return allowed;
  const auto found = files_.find(from);
  if (found == files_.end()) return tidegate::fail(ErrorCode::invalid, from + ": no such file");
  changes_[parent_of(from)].push_back({{to, found->second}, {from, nullptr}});
  files_[to] = found->second;
  files_.erase(from);
  return {};
}

Result<void> InMemoryFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::remove, path); !allowed) return allowed;
  if (files_.erase(path) == 0) return tidegate::fail(ErrorCode::invalid, path + ": no such file");
  changes_[parent_of(path)].push_back({{path, nullptr}});
  return {};
}

Result<std::vector<std::string>> InMemoryFileSystem::list(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  if (!directories_.contains(directory)) return tidegate::fail(ErrorCode::invalid, directory + ": no such directory");
  std::vector<std::string> names;
  for (const auto& [path, node] : files_) {
    if (parent_of(path) == directory) names.push_back(path.substr(path.rfind('/') + 1));
  }
  return names;
}

Result<void> InMemoryFileSystem::make_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (files_.contains(path)) return tidegate::fail(ErrorCode::invalid, path + ": not a directory");
  if (!directories_.contains(parent_of(path))) return tidegate::fail(ErrorCode::invalid, path + ": no such directory");
  directories_.insert(path);
  return {};
}

Result<void> InMemoryFileSystem::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::sync_directory, path); !allowed) return allowed;
  changes_.erase(path);
  std::erase_if(durable_names_, [&](const auto& entry) { return parent_of(entry.first) == path; });
  for (const auto& entry : files_) {
    if (parent_of(entry.first) == path) durable_names_.insert(entry);
  }
  return {};
}

void InMemoryFileSystem::fail(Operation operation, std::size_t skip, std::size_t times, ErrorCode code,
                              std::string part) {
  const std::lock_guard lock(mutex_);
  failures_[operation] = {skip, times, code, std::move(part)};
}

void InMemoryFileSystem::fail_never() {
  const std::lock_guard lock(mutex_);
  failures_.clear();
}

std::size_t InMemoryFileSystem::count(Operation operation) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(operation);
  return found == counts_.end() ? 0 : found->second;
}

void InMemoryFileSystem::lose_unsynced() {
  const std::lock_guard lock(mutex_);
  files_ = durable_names_;
  changes_.clear();
  for (auto& [path, node] : files_) node->content = node->synced;
}

void InMemoryFileSystem::apply(const Change& change) {
  if (change.node) {
    durable_names_[change.path] = change.node;
  } else {
    durable_names_.erase(change.path);
  }
}

void InMemoryFileSystem::power_cut(std::mt19937_64& random) {
  const std::lock_guard lock(mutex_);
  for (const auto& [directory, changes] : changes_) {
    const std::size_t kept = random() % (changes.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) {
      for (const Change& change : changes[i]) apply(change);
    }
  }
  changes_.clear();
  files_ = durable_names_;
  for (auto& [path, node] : files_) cut_content(*node, random);
}

void InMemoryFileSystem::cut_content(Node& node, std::mt19937_64& random) {
  constexpr std::size_t kSector = 512;
  enum class Fate : std::uint8_t { none, all, first, any, count };
  const auto fate = static_cast<Fate>(random() % static_cast<std::uint64_t>(Fate::count));
  const std::size_t grown = std::max(node.content.size(), node.synced.size());
  std::vector<std::byte> left = node.synced;
  const bool keeps_length = fate == Fate::all || (fate != Fate::none && random() % 2 == 0);
  left.resize(keeps_length ? grown : node.synced.size() + random() % (grown - node.synced.size() + 1));
  if (fate == Fate::none && random() % 2 == 0) left.resize(node.synced.size());
  node.content.resize(grown);
  std::vector<std::size_t> unsynced;
  for (std::size_t at = 0; at < left.size(); at += kSector) {
    const std::size_t end = std::min(at + kSector, left.size());
    if (!std::equal(left.begin() + static_cast<std::ptrdiff_t>(at), left.begin() + static_cast<std::ptrdiff_t>(end),
                    node.content.begin() + static_cast<std::ptrdiff_t>(at))) {
      unsynced.push_back(at);
    }
  }
  const std::size_t first = unsynced.empty() ? 0 : random() % (unsynced.size() + 1);
  for (std::size_t i = 0; i < unsynced.size(); ++i) {
    const bool kept =
        fate == Fate::all || (fate == Fate::first && i < first) || (fate == Fate::any && random() % 2 == 0);
    const bool torn = fate != Fate::none && i == first && random() % 4 == 0;
    if (!kept && !torn) continue;
    const std::size_t length = std::min(kSector, left.size() - unsynced[i]);
    std::copy_n(node.content.begin() + static_cast<std::ptrdiff_t>(unsynced[i]), torn ? random() % length : length,
                left.begin() + static_cast<std::ptrdiff_t>(unsynced[i]));
  }
  node.content = left;
  node.synced = std::move(left);
}

void InMemoryFileSystem::wipe() {
  const std::lock_guard lock(mutex_);
  files_.clear();
  durable_names_.clear();
  changes_.clear();
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
  durable_names_[path] = node;
}

void InMemoryFileSystem::flip_bit(const std::string& path, std::uint64_t bit) {
  const std::lock_guard lock(mutex_);
  std::byte& byte = files_.at(path)->content.at(static_cast<std::size_t>(bit / 8));
  byte ^= static_cast<std::byte>(1U << (bit % 8));
}

}  // namespace tidegate::testing
