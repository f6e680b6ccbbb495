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
  }
  if (found == files_.end()) return tidegate::fail(ErrorCode::invalid, path + ": no such file");
  return std::make_unique<OpenFile>(*this, path, found->second, mode != OpenMode::read);
}

Result<void> InMemoryFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::rename, from); !allowed) return allowed;
  const auto found = files_.find(from);
  if (found == files_.end()) return tidegate::fail(ErrorCode::invalid, from + ": no such file");
  files_[to] = found->second;
  files_.erase(from);
  return {};
}

Result<void> InMemoryFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto allowed = step(Operation::remove, path); !allowed) return allowed;
  if (files_.erase(path) == 0) return tidegate::fail(ErrorCode::invalid, path + ": no such file");
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
  for (auto& [path, node] : files_) node->content = node->synced;
}

void InMemoryFileSystem::wipe() {
  const std::lock_guard lock(mutex_);
  files_.clear();
  durable_names_.clear();
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
