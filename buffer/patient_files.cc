#include "buffer/patient_files.h"

namespace tidegate::buffer {
namespace {

constexpr int kTries = 8;

template <class Operation>
auto patiently(Operation operation) {
  auto done = operation();
  const auto may_pass = [&] {
    return done.error().code != ErrorCode::invalid && done.error().code != ErrorCode::not_found;
  };
  for (int i = 1; i < kTries && !done && may_pass(); ++i) done = operation();
  return done;
}

class PatientFile final : public File {
 public:
  explicit PatientFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    return patiently([&] { return file_->read_at(offset, into); });
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    return file_->write_at(offset, data);
  }
  Result<void> sync() override { return file_->sync(); }
  Result<void> reserve(std::uint64_t bytes) override { return file_->reserve(bytes); }
  Result<void> begin_write_back() override { return file_->begin_write_back(); }
  Result<std::uint64_t> size() const override {
    return patiently([&] { return file_->size(); });
  }

 private:
  std::unique_ptr<File> file_;
};

}  // namespace

Result<std::unique_ptr<File>> PatientFileSystem::open(const std::string& path, OpenMode mode) {
  // A file that could not be made may be there all the same.
  auto file = mode == OpenMode::create ? files_.open(path, mode) : patiently([&] { return files_.open(path, mode); });
  if (!file) return file;
  return std::make_unique<PatientFile>(std::move(*file));
}

Result<std::vector<std::string>> PatientFileSystem::list(const std::string& directory) {
  return patiently([&] { return files_.list(directory); });
}

}  // namespace tidegate::buffer
