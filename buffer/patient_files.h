#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/file_system.h"

namespace tidegate::buffer {

/// A file system that asks again when reading fails for a reason that may pass (no descriptors left, a bus that
/// hiccups): what cannot be read when the log is opened would pass for lost. Writes and syncs are left alone: what a
/// failed one has done is not known. It outlives its files.
class PatientFileSystem final : public FileSystem {
 public:
  explicit PatientFileSystem(FileSystem& files) : files_(files) {}

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override { return files_.rename(from, to); }
  Result<void> exchange(const std::string& one, const std::string& other) override {
    return files_.exchange(one, other);
  }
  Result<void> remove(const std::string& path) override { return files_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> make_directory(const std::string& path) override { return files_.make_directory(path); }
  Result<void> sync_directory(const std::string& path) override { return files_.sync_directory(path); }

 private:
  FileSystem& files_;
};

}  // namespace tidegate::buffer
