#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace tidegate::uplink {

/// Whether a file of authorities has lists of revoked certificates among them, for a library that has to be told. Reads
/// the file again only when it is another than before. One thread.
class RevocationLists {
 public:
  /// False also when the file cannot be read: the library says so itself.
  bool are_in(const std::string& file);

 private:
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;
    std::int64_t changed_seconds = 0;
    std::int64_t changed_nanoseconds = 0;
    bool operator==(const Version&) const = default;
  };

  Version version_;
  bool found_ = false;
};

}  // namespace tidegate::uplink
