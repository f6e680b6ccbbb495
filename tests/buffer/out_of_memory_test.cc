// Every allocation of a log's life fails once. The daemon does not outlive that: std::bad_alloc ends it like a kill,
// and the next process has to find everything that was written. A binary of its own, because it replaces operator new.
#include <cstdlib>
#include <new>

#include "tests/buffer/scripted_life.h"

namespace {

thread_local std::size_t allocations = 0;
thread_local std::size_t fails_at = 0;  // counted from 1; 0: none does
thread_local bool counts = false;

}  // namespace

// GCC pairs an inlined delete with the new that it knows, not with the one here.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

void* operator new(std::size_t bytes) {
  if (counts && ++allocations == fails_at) throw std::bad_alloc();
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }

namespace tidegate::buffer {
namespace {

constexpr std::size_t kStride = tidegate::testing::of_many(1, 5);

/// While it lives, allocations are as always: what is no part of the log does not fail.
class Pause {
 public:
  Pause() : before_(std::exchange(counts, false)) {}
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;
  ~Pause() { counts = before_; }

 private:
  bool before_;
};

class PausingFile final : public File {
 public:
  explicit PausingFile(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    const Pause pause;
    return file_->read_at(offset, into);
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    const Pause pause;
    return file_->write_at(offset, data);
  }
  Result<void> sync() override {
    const Pause pause;
    return file_->sync();
  }
  Result<void> reserve(std::uint64_t bytes) override {
    const Pause pause;
    return file_->reserve(bytes);
  }
  Result<std::uint64_t> size() const override {
    const Pause pause;
    return file_->size();
  }

 private:
  std::unique_ptr<File> file_;
};

class PausingFileSystem final : public FileSystem {
 public:
  explicit PausingFileSystem(FileSystem& files) : files_(files) {}
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    const Pause pause;
    auto file = files_.open(path, mode);
    if (!file) return file;
    return std::make_unique<PausingFile>(std::move(*file));
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    const Pause pause;
    return files_.rename(from, to);
  }
  Result<void> exchange(const std::string& one, const std::string& other) override {
    const Pause pause;
    return files_.exchange(one, other);
  }
  Result<void> remove(const std::string& path) override {
    const Pause pause;
    return files_.remove(path);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    const Pause pause;
    return files_.list(directory);
  }
  Result<void> make_directory(const std::string& path) override {
    const Pause pause;
    return files_.make_directory(path);
  }
  Result<void> sync_directory(const std::string& path) override {
    const Pause pause;
    return files_.sync_directory(path);
  }

 private:
  FileSystem& files_;
};

class OutOfMemoryTest : public ScriptedLife {
 protected:
  FileSystem& files() override { return pausing_; }
  void on_refused_open() override {}

  /// Whether the life came to its end without the failure.
  bool live_and_run_out(std::size_t nth) {
    allocations = 0;
    fails_at = nth;
    counts = true;
    bool whole = true;
    try {
      live();
    } catch (const std::bad_alloc&) {
      whole = false;
    }
    counts = false;
    return whole;
  }

 private:
  PausingFileSystem pausing_{disk_};
};

TEST_F(OutOfMemoryTest, LosesNothingWrittenWhicheverAllocationFails) {
  begin();
  ASSERT_TRUE(live_and_run_out(0));
  const std::size_t all = allocations;
  ASSERT_GT(all, 500U);
  RecordProperty("allocations", static_cast<int>(all));
  std::size_t ended = 0;
  for (std::size_t nth = 1; nth <= all; nth += kStride) {
    begin();
    if (!live_and_run_out(nth)) ++ended;  // a line of the program's log goes missing instead
    kill();
    check();
    ASSERT_FALSE(HasFailure()) << "allocation " << nth << " of " << all;
  }
  EXPECT_GT(ended, all / kStride / 2);
}

}  // namespace
}  // namespace tidegate::buffer
