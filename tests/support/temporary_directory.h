#pragma once

#include <string>

namespace tidegate::testing {

/// A fresh directory that goes, with all in it, when the object goes. Throws std::runtime_error when it cannot be made.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void write_file(const std::string& path, const std::string& content);
/// "" for a file that is not there.
std::string read_file(const std::string& path);

}  // namespace tidegate::testing
