#include "uplink/revocation_lists.h"

#include <sys/stat.h>

#include <fstream>

namespace tidegate::uplink {

bool RevocationLists::are_in(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return false;
  const Version version{status.st_dev, status.st_ino, status.st_size, std::int64_t{status.st_mtim.tv_sec},
                        std::int64_t{status.st_mtim.tv_nsec}};
  if (version == version_) return found_;
  std::ifstream lines(file);
  found_ = false;
  for (std::string line; !found_ && std::getline(lines, line);) found_ = line.starts_with("-----BEGIN X509 CRL-----");
  version_ = version;
  return found_;
}

}  // namespace tidegate::uplink
